"""Large uploads straight into a bucket: an address for each part, resumed after a cut, judged by the check."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import httpx
import pytest
from django.core.files.storage import default_storage
from django.db import OperationalError
from django.utils import timezone

from tests.conftest import Api, Cast, api_of
from tests.datasets.busy import busy_at
from tests.faults.buckets import NAME
from tests.faults.chaos_proxy import ChaosProxy, Rule
from webapp.bucket import Bucket
from webapp.datasets import announcing, direct
from webapp.datasets.browsing import Wanted, find_rows, rows_page
from webapp.datasets.models import DatasetVersion, Upload
from webapp.datasets.proving import CHUNK_AT_MOST
from webapp.datasets.remarks import Remarks
from webapp.datasets.vetting import run_check
from webapp.jobs import clearing
from webapp.storing import store_file

pytestmark = [pytest.mark.slow, pytest.mark.django_db]
DENIED = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
ROWS = [json.dumps({"text": f"row {n} " + "of many words " * 300, "label": "ab"[n % 2]}) for n in range(2100)]
CONTENT = ("\n".join(ROWS) + "\n").encode()
"""Two parts, the second smaller than S3 lets any but the last be."""
PIECES = [CONTENT[:CHUNK_AT_MOST], CONTENT[CHUNK_AT_MOST:]]


def begun(api: Api, **more: Any) -> str:
    answer = api("post", "uploads", {"file_name": "rows.jsonl", "bytes": len(CONTENT), **more})
    assert answer.status_code == 201, answer.json()
    assert answer.json()["to"] == "bucket"
    return str(answer.json()["id"])


def address(api: Api, upload: str, number: int, content: bytes) -> Any:
    part = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    return api("post", f"uploads/{upload}/parts", {"offset": number * CHUNK_AT_MOST, **part})


def put(api: Api, upload: str, number: int, sent: bytes | None = None) -> httpx.Response:
    """One part as a program puts it, or other bytes in its place."""
    where = address(api, upload, number, PIECES[number]).json()
    content = PIECES[number] if sent is None else sent
    return httpx.request(where["method"], where["url"], headers=where["headers"], content=content, timeout=30)


def in_bucket(moto: int) -> tuple[list[str], list[str]]:
    """Keys of whole files, and of those that come in."""
    owner = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{moto}")
    whole = owner.list_objects_v2(Bucket=NAME).get("Contents", [])
    coming = owner.list_multipart_uploads(Bucket=NAME).get("Uploads", [])
    return [each["Key"] for each in whole], [each["Key"] for each in coming]


def checked(answer: Any) -> DatasetVersion:
    assert answer.status_code == 201, answer.json()
    version = answer.json()["version"]["id"]
    run_check(version)
    return DatasetVersion.objects.get(pk=version)


def test_a_file_goes_past_the_site_and_is_checked(way: ChaosProxy, moto: int, bob_api: Api) -> None:
    upload = begun(bob_api, name="rows", sha256=hashlib.sha256(CONTENT).hexdigest())
    for number in (0, 1):
        assert put(bob_api, upload, number).status_code == 200
    answer = bob_api("post", f"uploads/{upload}/complete")
    version = checked(answer)
    assert (version.state, version.rows["good"], version.upload_bytes) == ("ready", len(ROWS), len(CONTENT))
    again = bob_api("post", f"uploads/{upload}/complete")
    assert again.json() == answer.json() | {"version": answer.json()["version"] | {"state": "ready"}}
    assert bob_api("get", f"uploads/{upload}").json()["made"] == again.json()
    assert in_bucket(moto) == ([version.file_key], [])


def test_an_address_is_for_these_bytes_alone(way: ChaosProxy, bob_api: Api) -> None:
    where = address(bob_api, begun(bob_api), 1, PIECES[1]).json()
    assert where["url"].startswith(f"{way.url}/{NAME}/")
    signed = parse_qs(urlsplit(where["url"]).query)
    assert signed["X-Amz-SignedHeaders"] == ["content-length;host;x-amz-checksum-sha256"]
    assert int(signed["X-Amz-Expires"][0]) == where["seconds"] == 300
    assert signed["partNumber"] == ["2"]
    assert "rows.jsonl" not in where["url"]


@pytest.mark.fault(45)
def test_after_a_cut_only_the_part_that_was_cut_is_sent_again(way: ChaosProxy, bob_api: Api) -> None:
    upload = begun(bob_api)
    assert put(bob_api, upload, 0).status_code == 200
    way.add(Rule(path="PUT .*partNumber=2", cut_after_bytes=20_000, of="request", times=1))
    with pytest.raises(httpx.HTTPError):
        put(bob_api, upload, 1)
    assert bob_api("get", f"uploads/{upload}").json()["offset"] == CHUNK_AT_MOST
    early = bob_api("post", f"uploads/{upload}/complete")
    assert (early.status_code, early.json()["error"]["code"]) == (409, "upload.incomplete")
    assert put(bob_api, upload, 1).status_code == 200
    assert bob_api("get", f"uploads/{upload}").json()["offset"] == len(CONTENT)
    assert checked(bob_api("post", f"uploads/{upload}/complete")).state == "ready"


@pytest.mark.fault(46)
@pytest.mark.parametrize("announced", ["", hashlib.sha256(CONTENT).hexdigest()], ids=["parts", "whole"])
def test_other_bytes_than_announced_never_become_rows(way: ChaosProxy, moto: int, bob_api: Api, announced: str) -> None:
    """A bucket may not know sha256, as moto does not: the check does."""
    upload = begun(bob_api, sha256=announced)
    put(bob_api, upload, 0)
    assert put(bob_api, upload, 1, PIECES[1].replace(b"label", b"lebal")).status_code == 200
    version = checked(bob_api("post", f"uploads/{upload}/complete"))
    assert (version.state, version.problems[0]["code"]) == ("refused", "dataset.upload_damaged")
    assert in_bucket(moto) == ([], [])


@pytest.mark.fault(46)
def test_parts_that_cannot_be_are_refused_before_they_are_sent(way: ChaosProxy, bob_api: Api, charlie_api: Api) -> None:
    upload, part = begun(bob_api), {"offset": 0, "bytes": CHUNK_AT_MOST, "sha256": "0" * 64}
    for wrong, code in (
        ({"offset": 5}, "upload.offset"),
        ({"offset": 2 * CHUNK_AT_MOST}, "upload.offset"),
        ({"bytes": 5}, "upload.chunk_size"),
        ({"offset": CHUNK_AT_MOST}, "upload.chunk_size"),
    ):
        answer = bob_api("post", f"uploads/{upload}/parts", part | wrong)
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, code)
    for odd in ({"sha256": "beef"}, {"bytes": CHUNK_AT_MOST + 1}, {"offset": -1}):
        assert bob_api("post", f"uploads/{upload}/parts", part | odd).status_code == 422
    for what in ("parts", "complete"):
        assert charlie_api("post", f"uploads/{upload}/{what}", part).status_code == 404
    assert Upload.objects.get().part_sums == {}


def test_cancelled_or_left_alone_it_leaves_nothing_in_the_bucket(way: ChaosProxy, moto: int, bob_api: Api) -> None:
    cancelled, left = begun(bob_api, name="cancelled"), begun(bob_api, name="left")
    for upload in (cancelled, left):
        put(bob_api, upload, 0)
    assert len(in_bucket(moto)[1]) == 2
    assert bob_api("delete", f"uploads/{cancelled}").status_code == 204
    Upload.objects.filter(pk=left).update(touched_at=timezone.now() - timedelta(hours=25))
    announcing.expire_uploads()
    assert in_bucket(moto) == ([], [])
    assert not Upload.objects.exists()


def test_an_upload_that_the_bucket_will_not_let_go_keeps_no_other_waiting(
    way: ChaosProxy, moto: int, bob_api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("first", "second", "third"):
        put(bob_api, begun(bob_api, name=name), 0)
    Upload.objects.update(touched_at=timezone.now() - timedelta(hours=25))
    keys = list(Upload.objects.values_list("key", flat=True))
    for key in keys[:2]:
        way.add(Rule(path=f"DELETE /{NAME}/{key}", answer=DENIED))
    announcing.expire_uploads()
    assert not Upload.objects.exists()
    assert sorted(in_bucket(moto)[1]) == sorted(keys[:2])
    assert [line.args[0] for line in caplog.records if "expired uploads left" in line.msg] == [2]  # type: ignore[index]
    list(clearing.forget_files())
    assert sorted(in_bucket(moto)[1]) == sorted(keys[:2])
    way.heal()
    list(clearing.forget_files())
    assert in_bucket(moto) == ([], [])


def test_parts_whose_upload_went_with_its_dataset_are_swept(
    way: ChaosProxy, moto: int, bob_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """moto dates all that comes in to 2010."""
    for name in ("gone", "stays"):
        put(bob_api, begun(bob_api, name=name), 0)
    owner = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{moto}")
    others = [f"{name}/uploads/1" for name in ("backups", "backups/1")]
    for key in others:
        owner.create_multipart_upload(Bucket=NAME, Key=key)
    Upload.objects.filter(name="gone").delete()
    kept, bucket = [Upload.objects.get().key, *others], Bucket(bucket_name=NAME, endpoint_url=way.url)
    with monkeypatch.context() as young:
        young.setattr(clearing, "DAY_SECONDS", 100 * 366 * 24 * 3600)
        list(clearing.forget_files())
    assert len(in_bucket(moto)[1]) == 4
    list(clearing.forget_files())
    assert sorted(in_bucket(moto)[1]) == sorted(kept)
    for key in kept:
        bucket.drop_parts(key)


def test_an_answer_that_was_lost_is_given_again(way: ChaosProxy, bob_api: Api) -> None:
    """The bucket had made one file of the parts when the site died."""
    upload = begun(bob_api)
    for number in (0, 1):
        put(bob_api, upload, number)
    row = Upload.objects.get()
    sums = {int(number): sha256 for number, sha256 in row.part_sums.items()}
    bucket: Any = default_storage
    parts = bucket.parts(row.key, row.parts_id)
    bucket.join_parts(row.key, row.parts_id, {number: (tag, sums[number]) for number, (_, tag) in parts.items()})
    assert bob_api("get", f"uploads/{upload}").json()["offset"] == len(CONTENT)
    assert checked(bob_api("post", f"uploads/{upload}/complete")).state == "ready"


def test_a_fault_at_the_last_step_leaves_the_whole_file_for_a_second_try(
    way: ChaosProxy, moto: int, bob_api: Api
) -> None:
    upload = begun(bob_api)
    for number in (0, 1):
        put(bob_api, upload, number)
    stale = Upload.objects.get()
    for words in ('INSERT INTO "datasets_datasetversion"', 'SELECT "datasets_upload"'):
        with busy_at(words), pytest.raises(OperationalError):
            direct.complete(stale)
        assert in_bucket(moto) == ([stale.key], [])
    assert bob_api("post", f"uploads/{upload}/complete").status_code == 201
    version = DatasetVersion.objects.get()
    with busy_at('SELECT "datasets_upload"'), pytest.raises(OperationalError):
        direct.complete(stale)
    assert direct.complete(stale) == version
    Upload.objects.all().delete()
    with pytest.raises(Upload.DoesNotExist):
        direct.complete(stale)
    run_check(version.pk)
    version.refresh_from_db()
    assert version.state == "ready"


def test_cancelled_in_the_moment_it_became_a_version_the_version_keeps_its_bytes(
    way: ChaosProxy, moto: int, bob_api: Api
) -> None:
    upload = begun(bob_api)
    for number in (0, 1):
        put(bob_api, upload, number)
    looked_at_before = Upload.objects.get()
    answer = bob_api("post", f"uploads/{upload}/complete")
    announcing.cancel(looked_at_before)
    assert in_bucket(moto) == ([looked_at_before.key], [])
    assert checked(answer).state == "ready"


def test_parts_that_are_gone_end_the_upload_in_words(way: ChaosProxy, bob_api: Api) -> None:
    upload = begun(bob_api)
    put(bob_api, upload, 0)
    bucket: Any = default_storage
    bucket.drop_parts(Upload.objects.get().key)
    answer = bob_api("post", f"uploads/{upload}/complete")
    assert (answer.status_code, answer.json()["error"]["code"]) == (410, "upload.lost")
    assert not Upload.objects.exists()


def test_a_bucket_that_is_away_takes_no_upload(way: ChaosProxy, bob_api: Api) -> None:
    way.add(Rule(reset=True))
    answer = bob_api("post", "uploads", {"file_name": "rows.jsonl", "bytes": 10})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "storage_unreachable")
    assert not Upload.objects.exists()


def test_a_page_of_rows_fetches_what_it_shows(
    way: ChaosProxy, cast: Cast, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    api = api_of(cast.bob, cast.team)
    upload = begun(api)
    for number in (0, 1):
        put(api, upload, number)
    version = checked(api("post", f"uploads/{upload}/complete"))
    fetched: list[int] = []
    whole = Bucket._range

    def counted(bucket: Bucket, name: str, start: int, end: int) -> bytes:
        content = whole(bucket, name, start, end)
        fetched.append(len(content))
        return content

    monkeypatch.setattr(Bucket, "_range", counted)
    before = len(way.seen)
    for place in (0, 1024, 2095):
        rows = rows_page(version, place, 5)
        assert [row["text"].split()[1] for row in rows] == [str(n) for n in range(place, place + 5)]
    assert sum(fetched) <= 3 * 256 * 1024
    asked = [line.split()[0] for line in way.seen[before:]]
    assert asked.count("GET") == len(fetched)
    fetched.clear()
    remarks = Remarks()
    for number in (1, 2096):
        remarks.add(number, {"odd"})
    counts = remarks.write(tmp_path / "bits", version.rows["good"], ())
    version.remarks_key = store_file("1/remarks", tmp_path / "bits").key
    version.row_index = {**(version.row_index or {}), "remarks": counts}
    remarked = find_rows(version, Wanted(problem="odd"), 0, 5)
    assert [row["text"].split()[1] for _, row in remarked.rows] == ["0", "2095"]
    assert 0 < sum(fetched) <= 2 * 256 * 1024
    fetched.clear()
    found = find_rows(version, Wanted(words="row 2099 "), 0, 1)
    while not found.rows:
        assert found.next
        found = find_rows(version, Wanted(words="row 2099 "), found.next, 1)
    assert found.rows[0][0] == 2100
    assert sum(fetched) <= 2 * version.bytes
