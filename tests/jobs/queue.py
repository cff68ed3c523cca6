"""Builds queues for tests: workers with devices, teams with people, finished jobs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import Max
from django.utils import timezone

from tests.conftest import Cast, make_job
from webapp.accounts.models import Membership, Team, User
from webapp.basemodels.models import BaseModel
from webapp.datasets.models import DatasetVersion
from webapp.jobs import reporting, transitions
from webapp.jobs.models import Artifact, Attempt, Job, Worker
from webapp.jobs.scheduling import Claim, claim

GIB = 1024**3


def gpu(index: int = 0, free: float = 24.0, total: float = 24.0) -> dict[str, Any]:
    sizes = {"memory_bytes": int(total * GIB), "memory_free_bytes": int(free * GIB)}
    return {"index": index, "kind": "cuda", "name": "Toy 24G", **sizes}


def processor(free: float = 8.0) -> dict[str, Any]:
    return {"index": 0, "kind": "cpu", "name": "Toy", "memory_bytes": 16 * GIB, "memory_free_bytes": int(free * GIB)}


def online(name: str, devices: list[dict[str, Any]], slots: int | None = None, **fields: Any) -> Worker:
    """A worker that has just said hello."""
    report = {"devices": devices, "slots": slots or len(devices), "busy_slots": 0, "protocol": 2}
    report |= fields.pop("report", {})
    return Worker.objects.create(
        name=name, boot_id=f"boot-{name}", last_hello_at=timezone.now(), report=report, **fields
    )


class Queue:
    """Jobs of the cast, and claims of workers."""

    def __init__(self, cast: Cast, base_model: BaseModel, version: DatasetVersion) -> None:
        self.cast, self.base_model, self.version = cast, base_model, version
        self.claims = 0

    def person(self, name: str, team: Team) -> User:
        user = User.objects.create_user(name)
        Membership.objects.create(user=user, team=team)
        return user

    def add(self, name: str = "a job", **fields: Any) -> Job:
        if "queue_position" not in fields:
            last = Job.objects.filter(pool=fields.get("pool", "default")).aggregate(last=Max("queue_position"))["last"]
            fields["queue_position"] = (last or 0) + 1
        return make_job(self.cast, self.base_model, self.version, name=name, **fields)

    def claim(self, worker: Worker, devices: list[dict[str, Any]] | None = None) -> Attempt | None:
        self.claims += 1
        said = worker.report.get("devices", [])[:1] if devices is None else devices
        claimed = claim(worker, Claim(f"claim-{self.claims}", worker.boot_id, 0, 1, said))
        return claimed.attempt if claimed else None

    def names(self, worker: Worker, times: int) -> list[str]:
        """Names of the jobs that one claim after the other gets while nothing ends."""
        attempts = [self.claim(worker) for _ in range(times)]
        return [attempt.job.name for attempt in attempts if attempt]

    def start(self, worker: Worker, devices: list[dict[str, Any]] | None = None) -> Attempt:
        attempt = self.claim(worker, devices)
        assert attempt
        reporting.acknowledge(attempt)
        return attempt

    def finish(self, attempt: Attempt) -> Job:
        reporting.acknowledge(attempt)
        Artifact.objects.create(job=attempt.job, attempt=attempt, bytes=1, files=[], manifest={})
        return transitions.end_attempt(attempt, "worker", "succeeded")

    def finished(self, seconds: float, ago: timedelta = timedelta(0), gpus: int = 1, **fields: Any) -> Job:
        """A job that succeeded after so many seconds."""
        ended = timezone.now() - ago
        started = ended - timedelta(seconds=seconds)
        done = {"state": "succeeded", "attempts_made": 1, "started_at": started, "ended_at": ended, "gpus": gpus}
        job = self.add("done", **done, **fields)
        where = Worker.objects.first() or Worker.objects.create(name="old")
        attempt = Attempt.objects.create(
            job=job,
            number=1,
            worker=where,
            claim_id=f"old-{job.pk}",
            token_prefix=f"o{job.pk}",
            lease_until=ended,
            state="ended",
            outcome="succeeded",
            ended_at=ended,
            devices=[gpu(index) for index in range(gpus)],
        )
        Attempt.objects.filter(pk=attempt.pk).update(created_at=started)
        return job
