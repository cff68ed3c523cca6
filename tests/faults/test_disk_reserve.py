"""The site's disk comes near its reserve: uploads and submits are refused in words before a byte is written."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpRequest

from tests.conftest import Api
from webapp.basemodels.models import BaseModel
from webapp.datasets.models import Dataset, DatasetVersion
from webapp.jobs.health import health, shown
from webapp.jobs.models import Job
from webapp.storing import store


@pytest.fixture
def nearly_full(settings: Any) -> None:
    settings.DISK_RESERVE_BYTES = shutil.disk_usage(settings.VAR).total


@pytest.fixture
def stored(settings: Any) -> Path:
    return Path(settings.STORAGES["default"]["OPTIONS"]["location"])


def files_of(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


@pytest.mark.fault(27)
@pytest.mark.usefixtures("nearly_full")
def test_an_upload_that_would_eat_the_reserve_is_refused_before_it_is_written(bob_api: Api, stored: Path) -> None:
    before = files_of(stored)
    file = SimpleUploadedFile("reviews.csv", b"text,label\ngood,pos\n")
    headers = {"Authorization": f"Bearer {bob_api.token}"}
    answer = bob_api.client.post("/api/v1/datasets", {"file": file}, headers=headers)
    assert answer.status_code == 507
    assert answer.json()["error"]["code"] == "disk_full"
    assert "GiB" in answer.json()["error"]["message"]
    assert not Dataset.objects.exists()
    assert files_of(stored) == before


@pytest.mark.fault(27)
def test_what_was_written_before_the_disk_was_full_is_removed(stored: Path) -> None:
    before = files_of(stored)

    def rows() -> Iterator[bytes]:
        yield b"row\n" * 100_000
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        store("1/uploads", rows())
    assert files_of(stored) == before


@pytest.mark.usefixtures("nearly_full")
def test_a_nearly_full_disk_refuses_jobs_and_says_so_on_every_page(
    bob_api: Api, base_model: BaseModel, version: DatasetVersion
) -> None:
    body = {"base_model": base_model.pk, "dataset_version": version.pk, "method": "lora"}
    assert bob_api("post", "jobs", body).status_code == 507
    assert not Job.objects.exists()
    assert bob_api("get", "jobs").status_code == 200
    assert health().disk.state == "degraded"
    assert "are refused" in shown(HttpRequest())["read_only"]()


def test_with_room_on_the_disk_no_banner_is_shown() -> None:
    assert shown(HttpRequest())["read_only"]() == ""
