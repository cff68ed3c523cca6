"""One file through every entry, the page, the API in one go, in chunks and step by step, is the same rows and words."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.files.uploadedfile import SimpleUploadedFile

from tests.conftest import Api, Cast, api_of
from tests.datasets.test_deciding import GOOD, TWICE, checked, look
from tests.datasets.test_receiving import add, row
from tests.datasets.test_steps import browser_of, draft, post
from webapp.datasets import upload_route
from webapp.datasets.models import DatasetVersion, Upload
from webapp.datasets.vetting import run_check

RAGGED = f"text,label\n{GOOD}too,many,values\n".encode()
ACCEPT = [{"code": "dataset.duplicate_row", "fix": "accept"}]
SKIP = [{"code": "dataset.ragged_row", "fix": "skip_rows"}]


def by_page(cast: Cast, api: Api, content: bytes) -> dict[str, Any]:
    browser_of(cast.bob).post("/datasets/upload/", {"file": SimpleUploadedFile("page.csv", content)})
    version_id = DatasetVersion.objects.latest("pk").pk
    run_check(version_id)
    return post(api, f"{version_id}/choices")


def by_chunks(cast: Cast, api: Api, content: bytes) -> dict[str, Any]:
    version = add(row(api, bytes=len(content), file_name="page.csv"), 0, content)
    assert version is not None
    run_check(version.pk)
    return look(api, version.pk)


def by_steps(cast: Cast, api: Api, content: bytes) -> dict[str, Any]:
    return post(api, f"{draft(api, 'page.csv', content)['id']}/choices")


WAYS = [by_page, by_chunks, by_steps]


@pytest.mark.parametrize("content", [TWICE, RAGGED], ids=["good", "bad"])
def test_the_same_words_at_every_entry(cast: Cast, bob_api: Api, content: bytes) -> None:
    first = checked(bob_api, "page.csv", content)
    assert first["problems"]
    for way in WAYS:
        told = way(cast, bob_api, content)
        assert (told["problems"], told["problems_total"]) == (first["problems"], first["problems_total"]), way


def test_the_same_rows_at_every_entry_and_after_a_download(cast: Cast, bob_api: Api) -> None:
    first = checked(bob_api, "page.csv", TWICE)
    for way in WAYS:
        told = way(cast, bob_api, TWICE)
        if told["step"]:
            post(bob_api, f"{told['id']}/choices", {"fixes": ACCEPT})
            told = post(bob_api, f"{told['id']}/save")
        assert (told["state"], told["rows"], told["sha256"]) == ("ready", first["rows"], first["sha256"]), way
    answer = bob_api("get", f"dataset-versions/{first['id']}/download")

    async def whole() -> bytes:
        return b"".join([piece async for piece in answer.streaming_content])

    again = checked(bob_api, "again.jsonl", async_to_sync(whole)())
    assert (again["rows"], again["sha256"]) == (first["rows"], first["sha256"])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("came", [b"text,labe", b"text,label\n"], ids=["short", "long"])
def test_79_a_body_that_has_not_its_announced_length_is_not_kept(cast: Cast, came: bytes) -> None:
    upload = row(api_of(cast.bob, cast.team), bytes=100)
    token = api_of(cast.bob, cast.team).token
    headers = {"host": "testserver", "authorization": f"Bearer {token}", "upload-offset": "0", "content-length": "10"}
    headers["upload-sha256"] = hashlib.sha256(came).hexdigest()
    scope: dict[str, Any] = {"type": "http", "method": "PATCH", "path": f"/api/v1/uploads/{upload.pk}"}
    scope |= {"headers": [(name.encode(), value.encode()) for name, value in headers.items()]}
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": came, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async_to_sync(upload_route.serve)(upload.pk, scope, receive, send)
    assert (sent[0]["status"], json.loads(sent[1]["body"])["error"]["code"]) == (400, "upload_length"), sent
    assert Upload.objects.get().offset == 0
    assert DatasetVersion.objects.count() == 0
