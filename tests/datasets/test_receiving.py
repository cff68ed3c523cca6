"""Uploads in chunks, at the verbs: limits before the first byte, whose it is, what expires, what a full disk leaves."""

from __future__ import annotations

import errno
import hashlib
import os
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.db import OperationalError
from django.utils import timezone

from tests.conftest import Api, Cast, api_of
from tests.datasets.busy import busy_at
from webapp.datasets import announcing, receiving
from webapp.datasets.models import DatasetVersion, Upload
from webapp.datasets.uploading import UploadRefused
from webapp.datasets.vetting import run_check
from webapp.storing import DiskNearlyFull

ROWS = b"text,label\n" + b"".join(b"row %d,%s\n" % (n, b"pos" if n % 2 else b"neg") for n in range(40))


def begun(api: Api, **more: Any) -> Any:
    return api("post", "uploads", {"file_name": "reviews.csv", "bytes": len(ROWS), **more})


def row(api: Api, **more: Any) -> Upload:
    answer = begun(api, **more)
    assert answer.status_code == 201, answer.json()
    return Upload.objects.get(pk=answer.json()["id"])


def add(upload: Upload, offset: int, chunk: bytes) -> DatasetVersion | None:
    return receiving.add_chunk(upload, offset, [chunk[:7], chunk[7:]], hashlib.sha256(chunk).hexdigest())


def test_chunks_become_a_version_that_is_checked(bob_api: Api) -> None:
    upload = row(bob_api, name="reviews", sha256=hashlib.sha256(ROWS).hexdigest(), task="text-classification")
    assert add(upload, 0, ROWS[:100]) is None
    assert bob_api("get", f"uploads/{upload.pk}").json()["offset"] == 100
    version = add(upload, 100, ROWS[100:])
    assert version is not None
    assert not announcing.part_of(upload).exists()
    run_check(version.pk)
    version.refresh_from_db()
    assert (version.state, version.dataset.name, version.upload_name) == ("ready", "reviews", "reviews.csv")
    further = row(bob_api, dataset=version.dataset_id)
    second = add(further, 0, ROWS)
    assert second is not None
    assert (second.number, second.dataset) == (2, version.dataset)


def test_the_same_file_in_two_teams_is_two_datasets(bob_api: Api, charlie_api: Api) -> None:
    digest = hashlib.sha256(ROWS).hexdigest()
    first, second = (add(row(api, name="same", sha256=digest), 0, ROWS) for api in (bob_api, charlie_api))
    assert first is not None
    assert second is not None
    assert first.upload_key != second.upload_key


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"bytes": 6 * 1024**3}, 413),
        ({"bytes": -1}, 422),
        ({"bytes": "many"}, 422),
        ({"file_name": ""}, 422),
        ({"file_name": "n" * 4097}, 422),
        ({"sha256": "beef"}, 422),
        ({"dataset": 999_999}, 404),
        ({"warnings": "maybe"}, 422),
    ],
)
def test_what_cannot_be_taken_is_refused_before_the_first_byte(bob_api: Api, more: dict[str, Any], status: int) -> None:
    """Case 78."""
    answer = begun(bob_api, **more)
    assert answer.status_code == status
    assert answer.json()["error"]["message"]
    assert not Upload.objects.exists()


def test_an_upload_is_its_users_alone(bob_api: Api, charlie_api: Api, cast: Cast) -> None:
    upload = row(bob_api)
    for stranger in (charlie_api, api_of(cast.alice, cast.team)):
        assert stranger("get", f"uploads/{upload.pk}").status_code == 404
        assert stranger("delete", f"uploads/{upload.pk}").status_code == 404
    assert begun(api_of(cast.vera, cast.team)).status_code == 403
    assert bob_api("delete", f"uploads/{upload.pk}").status_code == 204
    assert not Upload.objects.exists()


def test_begun_twice_with_one_key_it_is_one_upload(bob_api: Api, cast: Cast) -> None:
    sent = {"headers": {"Idempotency-Key": "one"}}
    told = {"file_name": "reviews.csv", "bytes": len(ROWS), "name": "reviews"}
    first, again = (bob_api("post", "uploads", told, **sent) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    for other in ({"bytes": 5}, {"file_name": "other.csv"}):
        answer = bob_api("post", "uploads", told | other, **sent)
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "upload.key")
    assert bob_api("post", "uploads", told, headers={"Idempotency-Key": "k" * 101}).status_code == 422
    others = api_of(cast.alice, cast.team)("post", "uploads", told, **sent)
    assert others.json()["id"] != first.json()["id"]
    version = add(Upload.objects.get(pk=first.json()["id"]), 0, ROWS)
    assert version is not None
    late = bob_api("post", "uploads", told, **sent).json()
    assert late["made"]["version"]["id"] == version.pk
    assert late["offset"] == len(ROWS)


def test_an_upload_to_the_site_has_no_addresses(bob_api: Api) -> None:
    upload = row(bob_api)
    part = {"offset": 0, "bytes": len(ROWS), "sha256": "0" * 64}
    for path, body in (("parts", part), ("complete", None)):
        answer = bob_api("post", f"uploads/{upload.pk}/{path}", body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "upload.to_the_site")


def test_a_name_with_odd_characters_is_never_a_path(bob_api: Api) -> None:
    upload = row(bob_api, file_name="../../\u202e\n\x07CON.csv", name="odd")
    assert upload.file_name == "../../���CON.csv"
    version = add(upload, 0, ROWS)
    assert version is not None
    assert version.upload_key.startswith(f"{version.dataset.team_id}/uploads/")


def test_nobody_hoards_unfinished_uploads(bob_api: Api) -> None:
    for n in range(announcing.OPEN_AT_MOST):
        assert begun(bob_api, name=f"n{n}").status_code == 201
    answer = begun(bob_api, name="one more")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "upload.too_many")


def test_a_day_after_the_last_chunk_an_upload_is_gone(bob_api: Api) -> None:
    upload, young = row(bob_api, name="old"), row(bob_api, name="young")
    add(upload, 0, ROWS[:100])
    add(young, 0, ROWS[:100])
    Upload.objects.filter(pk=upload.pk).update(touched_at=timezone.now() - timedelta(hours=25))
    announcing.expire_uploads()
    assert [each.name for each in Upload.objects.all()] == ["young"]
    assert (announcing.part_of(upload).exists(), announcing.part_of(young).exists()) == (False, True)
    announcing.cancel(young)


def test_a_part_that_belongs_to_nothing_is_swept_after_a_day(bob_api: Api) -> None:
    upload = row(bob_api)
    add(upload, 0, ROWS[:100])
    path = announcing.part_of(upload)
    Upload.objects.all().delete()
    announcing.expire_uploads()
    assert path.exists()
    day_ago = timezone.now().timestamp() - 25 * 3600
    os.utime(path, (day_ago, day_ago))
    announcing.expire_uploads()
    assert not path.exists()


@pytest.mark.fault(27)
def test_a_disk_that_fills_up_removes_the_part(bob_api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    upload = row(bob_api)
    add(upload, 0, ROWS[:100])

    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(DiskNearlyFull):
        add(upload, 100, ROWS[100:])
    assert not announcing.part_of(upload).exists()
    assert not Upload.objects.exists()


def test_a_fault_at_the_last_step_keeps_the_bytes_for_a_second_try(bob_api: Api) -> None:
    upload = row(bob_api, name="twice", sha256=hashlib.sha256(ROWS).hexdigest())
    add(upload, 0, ROWS[:100])
    with busy_at('INSERT INTO "datasets_datasetversion"'), pytest.raises(OperationalError):
        add(upload, 100, ROWS[100:])
    assert bob_api("get", f"uploads/{upload.pk}").json()["offset"] == 100
    version = add(upload, 100, ROWS[100:])
    assert version is not None
    assert not list(announcing.part_of(upload).parent.glob(f"{upload.pk.hex}*"))
    with default_storage.open(version.upload_key) as file:
        assert file.read() == ROWS


def test_a_name_taken_meanwhile_is_said_and_leaves_no_file(bob_api: Api) -> None:
    first, second = row(bob_api, name="same"), row(bob_api, name="same")
    assert add(first, 0, ROWS) is not None
    with pytest.raises(UploadRefused, match="already has a dataset"):
        add(second, 0, ROWS)
    assert not announcing.part_of(second).exists()
    keys = {version.upload_key for version in DatasetVersion.objects.all()}
    assert len(keys) == 1
    assert all(default_storage.exists(key) for key in keys)
