"""Files in S3 while the bucket fails: asked again with pauses, told in words if it stays away, judged by their sha256.

The bucket is moto's server on loopback, reached through the chaos proxy.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import boto3
import pytest
from django.core.files.storage import default_storage
from django.utils import timezone

from tests.conftest import Api, claim_next
from tests.faults.buckets import NAME
from tests.faults.chaos_proxy import ChaosProxy, Rule
from webapp.jobs import clearing, reporting
from webapp.jobs.handing_in import verified
from webapp.jobs.models import Artifact, Job, Worker
from webapp.jobs.scrubbing import Scrub
from webapp.storing import StorageAway, open_stored, store

pytestmark = [pytest.mark.slow, pytest.mark.django_db]
LARGE = [bytes([number]) * 1024**2 for number in range(20)]
"""More than one part of an upload, and more than a fetched file may take of the memory."""


def said(status: str, code: str) -> bytes:
    body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\nConnection: close"
    return head.encode() + b"\r\n\r\n" + body


INTERNAL, SLOW_DOWN = said("500 Internal Server Error", "InternalError"), said("503 Slow Down", "SlowDown")


def fetched(key: str) -> bytes:
    with open_stored(key) as file:
        return file.read()


def as_file(content: list[bytes]) -> dict[str, Any]:
    stored = store("1/attempts/1", content)
    return {"name": "adapter_model.safetensors", "key": stored.key, "sha256": stored.sha256, "bytes": stored.bytes}


@pytest.mark.parametrize("content", [[], [b"weights"], LARGE], ids=["empty", "small", "in parts"])
def test_what_is_stored_comes_back(way: ChaosProxy, content: list[bytes]) -> None:
    file = as_file(content)
    assert fetched(file["key"]) == b"".join(content)
    opened = verified(file)
    assert opened
    opened.close()
    with pytest.raises(FileNotFoundError):
        open_stored("1/attempts/1/nothing")


@pytest.mark.fault(47)
@pytest.mark.parametrize(
    "rule",
    [
        Rule(answer=INTERNAL, times=2),
        Rule(answer=SLOW_DOWN, times=2),
        Rule(reset=True, times=2),
        Rule(path="PUT", cut_after_bytes=100, of="request", times=1),
        Rule(delay_seconds=3, times=1),
    ],
    ids=["500", "503 SlowDown", "reset", "cut", "timeout"],
)
@pytest.mark.parametrize("content", [[b"weights"], LARGE], ids=["small", "in parts"])
def test_a_passing_fault_is_outlived(way: ChaosProxy, rule: Rule, content: list[bytes]) -> None:
    way.add(rule)
    file = as_file(content)
    way.heal()
    way.add(rule)
    assert fetched(file["key"]) == b"".join(content)


@pytest.mark.fault(47)
@pytest.mark.parametrize("rule", [Rule(answer=SLOW_DOWN), Rule(reset=True)], ids=["503 SlowDown", "reset"])
def test_nothing_is_stored_by_a_bucket_that_stays_away(way: ChaosProxy, rule: Rule) -> None:
    way.add(rule)
    with pytest.raises(StorageAway):
        store("1/attempts/1", [b"weights"])
    way.heal()
    assert default_storage.listdir("1/attempts/1") == ([], [])


@pytest.mark.fault(47)
def test_a_part_that_the_bucket_never_had_spoils_the_whole_upload(way: ChaosProxy) -> None:
    """Answered with an ETag of something else: the parts do not fit together, so there is no file."""
    wrong = b'HTTP/1.1 200 OK\r\nETag: "0123456789abcdef0123456789abcdef"\r\nContent-Length: 0\r\n\r\n'
    way.add(Rule(path="PUT .*partNumber=2", answer=wrong))
    with pytest.raises(StorageAway):
        store("1/attempts/1", LARGE)
    way.heal()
    assert default_storage.listdir("1/attempts/1") == ([], [])


@pytest.mark.fault(47)
@pytest.mark.parametrize(
    "rule", [Rule(path="GET", cut_after_bytes=20_000), Rule(path="GET", flip_byte=20_000)], ids=["short", "flipped"]
)
def test_a_reply_that_is_not_the_file_is_never_handed_out(
    way: ChaosProxy, job: Job, worker: Worker, bob_api: Api, rule: Rule
) -> None:
    """Nor does it count as damage: the file itself may be whole, and is once the way is."""
    artifact = artifact_of(job, worker, [b"weights" * 10_000])
    way.add(rule)
    path = f"artifacts/{artifact.pk}/files/adapter_model.safetensors"
    answer = bob_api("get", path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "storage_unreachable")
    assert answer["Retry-After"]
    assert bob_api("get", f"artifacts/{artifact.pk}").json()["damaged"] is False
    way.heal()
    assert b"".join(bob_api("get", path)) == b"weights" * 10_000


@pytest.mark.fault(47)
def test_what_arrived_spoilt_in_the_bucket_is_damaged_by_its_sha256(
    way: ChaosProxy, job: Job, worker: Worker, bob_api: Api, moto: int
) -> None:
    artifact = artifact_of(job, worker, [b"weights"])
    owner = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{moto}")
    owner.put_object(Bucket=NAME, Key=artifact.files[0]["key"], Body=b"weighty")
    assert bob_api("get", f"artifacts/{artifact.pk}/files/adapter_model.safetensors").status_code == 409
    assert bob_api("get", f"artifacts/{artifact.pk}").json()["damaged"] is True


def artifact_of(job: Job, worker: Worker, content: list[bytes]) -> Artifact:
    claimed = claim_next(worker)
    assert claimed
    assert claimed.attempt
    reporting.acknowledge(claimed.attempt)
    files, size = [as_file(content)], sum(map(len, content))
    return Artifact.objects.create(job=job, attempt=claimed.attempt, bytes=size, files=files, manifest={})


@pytest.mark.fault(47)
def test_the_scrub_takes_no_silence_for_damage(way: ChaosProxy, job: Job, worker: Worker) -> None:
    artifact = artifact_of(job, worker, [b"weights"])
    way.add(Rule(answer=SLOW_DOWN))
    Artifact.objects.update(checked_at=timezone.now() - timedelta(days=2))
    with pytest.raises(StorageAway):
        Scrub().share()
    artifact.refresh_from_db()
    assert artifact.damaged_at is None


def test_files_that_nothing_lists_are_found_in_a_bucket_too(way: ChaosProxy, job: Job) -> None:
    kept = as_file([b"young"])["key"]
    assert list(clearing.forget_files()) == [None]
    assert fetched(kept) == b"young"
