"""From an upload over the API to an answer: ready with rows, or refused with a reason, and never checking for ever."""

from __future__ import annotations

import os
import shutil
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from tests.conftest import Api
from webapp.datasets import vetting
from webapp.datasets.models import DatasetVersion
from webapp.datasets.vetting import clear_scratch, free_interrupted_checks, run_check

GOOD = b"text,label\n" + b"".join(b"row %d,%s\n" % (n, b"pos" if n % 2 else b"neg") for n in range(40))
BAD = {
    "empty": b"",
    "a pickle": b"\x80\x04\x95",
    "a damaged archive": b"PK\x03\x04....",
    "NUL": b"\0" * 1000,
    "noise": bytes(range(128, 256)) * 4,
    "wide": b",".join(b"c%d" % n for n in range(20_000)),
    "an open quote": b'text,label\n"a,b\n',
    "no column": b"one,two\n1,2\n",
    "one class": b"text,label\na,b\nc,b\n",
}


def uploaded(api: Api, file_name: str, content: bytes, **fields: Any) -> Any:
    file = SimpleUploadedFile(file_name, content)
    headers = {"Authorization": f"Bearer {api.token}", **fields.pop("headers", {})}
    return api.client.post("/api/v1/datasets", {"file": file, **fields}, headers=headers)


def test_an_upload_becomes_a_version_with_rows(bob_api: Api) -> None:
    answer = uploaded(bob_api, "reviews.csv", GOOD, name="reviews")
    assert answer.status_code == 201
    version_id = answer.json()["version"]["id"]
    run_check(version_id)
    version = bob_api("get", f"dataset-versions/{version_id}").json()
    assert (version["state"], version["task"], version["rows"]["eval"]) == ("ready", "text-classification", 4)
    rows = bob_api("get", f"dataset-versions/{version_id}/rows?limit=3").json()
    assert [row["text"] for row in rows["items"]] == ["row 0", "row 1", "row 2"]
    assert rows["next"] == 3


def test_an_upload_with_a_key_sent_again_makes_one_dataset(bob_api: Api, charlie_api: Api) -> None:
    once = {"name": "reviews", "headers": {"Idempotency-Key": "k1"}}
    answers = [uploaded(bob_api, "reviews.csv", GOOD, **once) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert DatasetVersion.objects.count() == 1
    elsewhere = uploaded(charlie_api, "reviews.csv", GOOD, **once)
    assert elsewhere.json()["id"] != answers[0].json()["id"], "another team's key is another key"
    assert uploaded(bob_api, "reviews.csv", GOOD, name="reviews").status_code == 422


@pytest.mark.parametrize("what", BAD)
def test_a_bad_file_is_refused_with_a_reason_and_leaves_nothing(bob_api: Api, what: str) -> None:
    version_id = uploaded(bob_api, "a.csv", BAD[what]).json()["version"]["id"]
    key = DatasetVersion.objects.get(pk=version_id).upload_key
    run_check(version_id)
    version = bob_api("get", f"dataset-versions/{version_id}").json()
    assert version["state"] == "refused"
    assert version["problems"][0]["message"]
    assert version["problems"][0]["hint"]
    row = DatasetVersion.objects.get(pk=version_id)
    assert (row.file_key, row.upload_key) == ("", "")
    assert not default_storage.exists(key)


def test_a_name_is_taken_once(bob_api: Api) -> None:
    assert uploaded(bob_api, "a.csv", GOOD, name="reviews").status_code == 201
    again = uploaded(bob_api, "a.csv", GOOD, name="reviews")
    assert again.status_code == 422
    assert "already has a dataset" in again.json()["error"]["message"]


@pytest.mark.parametrize("mapping", ["[", "[" * 50_000, "5", '{"a": NaN}'])
def test_a_mapping_that_is_no_object_is_refused(bob_api: Api, mapping: str) -> None:
    answer = uploaded(bob_api, "a.csv", GOOD, mapping=mapping)
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "dataset.mapping"


def test_a_form_without_a_file_names_the_field(bob_api: Api) -> None:
    answer = bob_api.client.post(
        "/api/v1/datasets", {"name": "x"}, headers={"Authorization": f"Bearer {bob_api.token}"}
    )
    assert answer.status_code == 422
    assert answer.json()["problems"][0]["field"] == "file"


def test_an_interrupted_check_is_taken_up_when_housekeeping_starts(bob_api: Api) -> None:
    version_id = uploaded(bob_api, "a.csv", GOOD).json()["version"]["id"]
    DatasetVersion.objects.update(check_lease_until=timezone.now() + timedelta(minutes=20))
    run_check(version_id)
    assert DatasetVersion.objects.get().state == "checking"
    free_interrupted_checks()
    run_check(version_id)
    assert DatasetVersion.objects.get().state == "ready"


def test_a_check_that_comes_too_late_takes_nothing_away(bob_api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process, which took it up as well, has its answer in already, and the file waits for a choice."""
    version_id = uploaded(bob_api, "a.csv", GOOD + b"too,many,values\n").json()["version"]["id"]

    def late(*_: Any, **__: Any) -> Any:
        monkeypatch.undo()
        free_interrupted_checks()
        run_check(version_id)
        raise OSError("the disk is full")

    monkeypatch.setattr(vetting, "check", late)
    run_check(version_id)
    version = DatasetVersion.objects.get()
    assert version.state == "needs_choice"
    assert version.upload_kept
    assert default_storage.exists(version.upload_key)


def test_what_a_killed_check_left_on_the_disk_goes_after_a_day(settings: Any) -> None:
    left, young = (settings.VAR / "checks" / name for name in ("killed", "at work"))
    for folder in (left, young):
        folder.mkdir(parents=True)
        (folder / "rows.jsonl").write_text("{}")
    os.utime(left, (0, 0))
    clear_scratch()
    assert (left.exists(), young.exists()) == (False, True)
    shutil.rmtree(young)
