"""Files that are no longer what was stored: found, marked, never handed out."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.files.storage import default_storage
from django.utils import timezone

from tests.conftest import Api, claim_next
from webapp.jobs import clearing, handing_in, reporting, scheduling
from webapp.jobs.models import Artifact, Attempt, Checkpoint, Event, Job, StoredPart, Worker
from webapp.jobs.scrubbing import Scrub
from webapp.storing import store


@pytest.fixture
def attempt(job: Job, worker: Worker) -> Attempt:
    claimed = claim_next(worker)
    assert claimed
    assert claimed.attempt
    reporting.acknowledge(claimed.attempt)
    return claimed.attempt


def stored_file(attempt: Attempt, content: bytes, name: str = "adapter_model.safetensors") -> dict[str, Any]:
    stored = store(f"{attempt.job.team_id}/attempts/{attempt.pk}", [content])
    return {"name": name, "bytes": stored.bytes, "sha256": stored.sha256, "key": stored.key}


def path_of(key: str) -> Path:
    return settings.VAR / "files" / key


def flip_a_byte(key: str) -> None:
    content = bytearray(path_of(key).read_bytes())
    content[len(content) // 2] ^= 1
    path_of(key).write_bytes(bytes(content))


def artifact_of(attempt: Attempt, **fields: Any) -> Artifact:
    files = [stored_file(attempt, b"weights" * 1000)]
    return Artifact.objects.create(job=attempt.job, attempt=attempt, bytes=7000, files=files, manifest={}, **fields)


@pytest.mark.fault(48)
def test_a_flipped_byte_is_found_by_the_download_and_refused_in_words(attempt: Attempt, bob_api: Api) -> None:
    artifact = artifact_of(attempt)
    flip_a_byte(artifact.files[0]["key"])
    for path in (f"artifacts/{artifact.pk}/download", f"artifacts/{artifact.pk}/files/adapter_model.safetensors"):
        answer = bob_api("get", path)
        assert answer.status_code == 409
        assert "damaged in storage" in answer.json()["error"]["message"]
    assert bob_api("get", f"artifacts/{artifact.pk}").json()["damaged"] is True


@pytest.mark.fault(48)
def test_the_daily_scrub_marks_a_damaged_artifact_and_leaves_a_good_one(attempt: Attempt, bob_api: Api) -> None:
    yesterday = timezone.now() - timedelta(hours=25)
    good, bad = artifact_of(attempt, checked_at=yesterday), artifact_of(attempt, checked_at=yesterday)
    flip_a_byte(bad.files[0]["key"])
    Scrub(share_seconds=5).share()
    good.refresh_from_db()
    bad.refresh_from_db()
    assert good.damaged_at is None
    assert good.checked_at > yesterday
    assert bad.damaged_at is not None
    assert "damaged in storage" in Event.objects.filter(kind="log").get().body["text"]
    assert bob_api("get", f"artifacts/{bad.pk}/download").status_code == 409


def test_a_scrub_reads_no_longer_than_its_share_and_goes_on_later(attempt: Attempt) -> None:
    artifact = artifact_of(attempt, checked_at=timezone.now() - timedelta(hours=25))
    scrub = Scrub(share_seconds=0)
    scrub.share()
    artifact.refresh_from_db()
    assert timezone.now() - artifact.checked_at > timedelta(hours=1)
    scrub.share_seconds = 5
    scrub.share()
    artifact.refresh_from_db()
    assert timezone.now() - artifact.checked_at < timedelta(hours=1)


def checkpoint_of(attempt: Attempt, step: int) -> Checkpoint:
    files = [stored_file(attempt, f"state {step}".encode(), "training.pt")]
    return Checkpoint.objects.create(job=attempt.job, attempt=attempt, step=step, bytes=7, files=files)


@pytest.mark.fault(49)
def test_a_damaged_checkpoint_gives_way_to_the_one_before_it(attempt: Attempt) -> None:
    before, newest = checkpoint_of(attempt, 5), checkpoint_of(attempt, 10)
    flip_a_byte(newest.files[0]["key"])
    with pytest.raises(handing_in.CheckpointDamaged, match="step 10"):
        handing_in.open_for_attempt(attempt, newest.files[0]["sha256"])
    assert scheduling.newest_checkpoint(attempt.job) == before
    assert "step 10 cannot be used" in Event.objects.filter(kind="log").get().body["text"]


@pytest.mark.fault(49)
def test_the_scrub_finds_a_checkpoint_that_is_gone(attempt: Attempt) -> None:
    before, newest = checkpoint_of(attempt, 5), checkpoint_of(attempt, 10)
    default_storage.delete(newest.files[0]["key"])
    Scrub(share_seconds=5).share()
    assert scheduling.newest_checkpoint(attempt.job) == before


# ---- What nobody lists --------------------------------------------------------------------------


@pytest.mark.fault(5)
def test_parts_of_an_ended_attempt_go_after_an_hour_unless_listed(attempt: Attempt) -> None:
    listed, unlisted = stored_file(attempt, b"kept"), stored_file(attempt, b"torn")
    Artifact.objects.create(job=attempt.job, attempt=attempt, bytes=4, files=[listed], manifest={})
    for file in (listed, unlisted):
        own = {name: file[name] for name in ("sha256", "bytes", "key")}
        StoredPart.objects.create(attempt=attempt, created_at=timezone.now() - timedelta(hours=2), **own)
    clearing.drop_parts()
    assert StoredPart.objects.count() == 2, "the attempt is still at work"
    Attempt.objects.update(state="ended")
    clearing.drop_parts()
    assert not StoredPart.objects.exists()
    assert path_of(listed["key"]).exists()
    assert not path_of(unlisted["key"]).exists()


def test_a_file_of_nobody_goes_after_a_day_and_no_other(attempt: Attempt) -> None:
    artifact = artifact_of(attempt)
    old, young = stored_file(attempt, b"old"), stored_file(attempt, b"young")
    elsewhere = store("site/exports", [b"not ours to judge"])
    for key in (artifact.files[0]["key"], old["key"], elsewhere.key):
        make_older(path_of(key))
    for _ in clearing.forget_files():
        pass
    assert not path_of(old["key"]).exists()
    assert path_of(young["key"]).exists()
    assert path_of(artifact.files[0]["key"]).exists()
    assert path_of(elsewhere.key).exists()


def make_older(path: Path) -> None:
    past = timezone.now().timestamp() - 2 * 24 * 3600
    os.utime(path, (past, past))
