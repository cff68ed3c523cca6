"""What a worker may call, under /api/worker/: enrol, hello, claim, and the reports of attempts and inspections.

A worker's token can claim, an attempt's token can touch one attempt. Every call may be sent twice.
"""

from __future__ import annotations

import dataclasses
from typing import IO, Annotated, Any, Literal

from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI, Schema, Status
from pydantic import Field

from webapp import api_errors
from webapp.jobs import enrolling, handing_in, inspecting, permits, reporting, scheduling, transitions
from webapp.jobs.consequences import NOT_FOR_WORKERS
from webapp.jobs.log_text import MAX_TEXT, plain
from webapp.jobs.models import Attempt, Inspection, Job
from webapp.jobs.refusals import note_refusals
from webapp.jobs.reported import BadReport, Count, Device, File, Finite, Report, Step, TooMuch
from webapp.jobs.worker_auth import AttemptToken, InspectionToken, WorkerToken
from webapp.json_body import StrictParser
from webapp.storing import streamed
from workers.protocol import OLDEST_PROTOCOL, PROTOCOL, Outcome

worker_api = NinjaAPI(
    title="Deltaboard worker API",
    version=str(PROTOCOL),
    urls_namespace="worker",
    docs_url=None,
    openapi_url=None,
    parser=StrictParser(),
)
api_errors.install(worker_api)
note_refusals(worker_api, api_errors.Unknown, transitions.StaleAttempt, BadReport, TooMuch)


class Enrolment(Schema):
    key: str
    hostname: str
    version: str
    protocol: int


@worker_api.get("ping", auth=None)
def ping(request: HttpRequest) -> dict[str, Any]:
    """This API answers and reaches the database: what the reconciler asks before it blames a worker for silence."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return {"status": "ok"}


@worker_api.post("enrol", auth=None)
def enrol(request: HttpRequest, body: Enrolment) -> dict[str, Any]:
    """Exchange a one-time key for the worker's token and the broker's address."""
    return enrolling.enrol(body.key, request.META.get("REMOTE_ADDR", ""), body.protocol)


@worker_api.post("hello", auth=WorkerToken())
def hello(request: Any, body: Report) -> dict[str, Any]:
    """The worker's own heartbeat; the answer says whether work waits and whether to take no more."""
    worker = enrolling.hello(request.auth, body.dict(), request.META.get("REMOTE_ADDR", ""))
    waiting = scheduling.work_waits(worker)
    if waiting and body.busy_slots < body.slots:
        permits.wake(worker)  # its own permit was lost
    return {
        "work_waiting": waiting,
        "drain": worker.drain,
        "remove": worker.revoked_at is not None,
        "lowest_protocol": OLDEST_PROTOCOL,
        "timings": dataclasses.asdict(settings.TIMINGS),
    }


class ClaimBody(Schema):
    claim_id: Annotated[str, Field(min_length=1, max_length=40)]
    boot_id: Annotated[str, Field(max_length=40)]
    slot: Annotated[int, Field(ge=0, le=1024)]
    threads: Annotated[int, Field(ge=1, le=4096)]
    """CPU threads of one slot."""
    devices: Annotated[list[Device], Field(max_length=256)] = Field(default_factory=list)
    device: Device | None = None
    """Protocol 1: the one device of the slot."""

    @property
    def as_claim(self) -> scheduling.Claim:
        devices = self.devices or ([self.device] if self.device else [])
        said = [device.dict() for device in devices]
        return scheduling.Claim(self.claim_id, self.boot_id, self.slot, self.threads, said)


@worker_api.post("claim", auth=WorkerToken(), response={200: dict[str, Any], 204: None})
def claim(request: Any, body: ClaimBody) -> Any:
    """The best job or inspection that this worker may run, or 204."""
    worker = request.auth
    if not worker.takes_jobs or worker.boot_id != body.boot_id:
        return Status(204, None)
    claimed = scheduling.claim(worker, body.as_claim)
    if claimed is None:
        return Status(204, None)
    lease = {"token": claimed.token, "lease_seconds": settings.TIMINGS.lease_seconds}
    if claimed.inspection:
        return Status(200, lease | _inspection_answer(claimed.inspection))
    assert claimed.attempt is not None
    return Status(200, lease | _attempt_answer(claimed.attempt))


def _attempt_answer(attempt: Attempt) -> dict[str, Any]:
    checkpoint = scheduling.newest_checkpoint(attempt.job)
    return {
        "kind": "job",
        "attempt": attempt.pk,
        "number": attempt.number,
        "spec": attempt.job.full_spec,
        "threads": attempt.threads,
        "devices": attempt.devices,
        "retry_of": attempt.job.retry_of_id,
        "checkpoint": {"step": checkpoint.step, "files": _plain(checkpoint.files)} if checkpoint else None,
    }


def _inspection_answer(inspection: Inspection) -> dict[str, Any]:
    files = _plain(inspection.files)
    return {"kind": "inspection", "inspection": inspection.pk, "question": inspection.question, "files": files}


def _plain(files: handing_in.FileList) -> handing_in.FileList:
    return [{name: file[name] for name in ("name", "bytes", "sha256")} for file in files]


# ---- Attempts -----------------------------------------------------------------------------------


def _own(request: Any, attempt_id: int) -> Attempt:
    """The attempt of this token. Another attempt's id is as unknown as a wrong token."""
    attempt: Attempt = request.auth
    if attempt.pk != attempt_id:
        raise api_errors.Unknown
    return attempt


def _attempt(request: Any, attempt_id: int) -> Attempt:
    """The same, at work: an ended one is stale, and before it is acknowledged nothing counts."""
    attempt = _own(request, attempt_id)
    if attempt.state != Attempt.State.RUNNING:
        raise transitions.StaleAttempt
    return attempt


@worker_api.post("attempts/{attempt_id}/ack", auth=AttemptToken())
def ack(request: Any, attempt_id: int) -> dict[str, Any]:
    """The worker has the job: it counts as running from now on."""
    reporting.acknowledge(_own(request, attempt_id))
    return {"lease_seconds": settings.TIMINGS.lease_seconds}


class Batch(Schema):
    first_seq: int
    events: list[dict[str, Any]]


@worker_api.post("attempts/{attempt_id}/events", auth=AttemptToken())
def events(request: Any, attempt_id: int, body: Batch) -> dict[str, Any]:
    """A batch of events, empty or not: it renews the lease and brings back what the person wishes."""
    attempt = _attempt(request, attempt_id)
    if len(request.body) > reporting.MAX_BATCH_BYTES:
        raise TooMuch(f"A batch holds at most 1 MiB; this one has {len(request.body):,} bytes.")
    acked = reporting.accept(attempt, body.first_seq, body.events)
    wish = Job.objects.values_list("wish", flat=True).get(pk=attempt.job_id)
    return {"acked_seq": acked, "wish": wish, "lease_seconds": settings.TIMINGS.lease_seconds}


@worker_api.get("attempts/{attempt_id}/inputs/{sha256}", auth=AttemptToken())
def attempt_input(request: Any, attempt_id: int, sha256: str) -> Any:
    """One of the job's input files."""
    return _sent(handing_in.open_for_attempt(_attempt(request, attempt_id), sha256))


@worker_api.put("attempts/{attempt_id}/files/{sha256}", auth=AttemptToken())
def attempt_file(request: Any, attempt_id: int, sha256: str) -> HttpResponse:
    """One file of a checkpoint or artifact, as raw bytes."""
    made = handing_in.take_part(request, _attempt(request, attempt_id), sha256)
    return HttpResponse(status=201 if made else 200)


class Listing(Schema):
    files: Annotated[list[File], Field(max_length=1000)]
    manifest: dict[str, Any] = {}
    step: Step = 0
    best: bool = False
    kind: Literal["delta"] = "delta"

    @property
    def plain(self) -> handing_in.FileList:
        return [file.dict() for file in self.files]


@worker_api.post("attempts/{attempt_id}/checkpoints", auth=AttemptToken(), response={201: dict[str, Any]})
def checkpoints(request: Any, attempt_id: int, body: Listing) -> Any:
    """All files of a checkpoint are in: list it."""
    checkpoint = handing_in.keep_checkpoint(_attempt(request, attempt_id), body.step, body.best, body.plain)
    return Status(201, {"id": checkpoint.pk})


@worker_api.post("attempts/{attempt_id}/artifacts", auth=AttemptToken(), response={201: dict[str, Any]})
def artifacts(request: Any, attempt_id: int, body: Listing) -> Any:
    """All files of the delta artifact are in: check it against its manifest and list it."""
    artifact = handing_in.keep_artifact(_attempt(request, attempt_id), body.kind, body.plain, body.manifest)
    return Status(201, {"id": artifact.pk})


class End(Schema):
    outcome: Outcome
    reason: Annotated[str, Field(max_length=40)] | None = None
    sentence: Annotated[str, Field(max_length=2000)] | None = None
    detail: dict[str, Any] = {}
    last_seq: Count = 0
    log_tail: Annotated[list[str], Field(max_length=200)] = []


@worker_api.post("attempts/{attempt_id}/end", auth=AttemptToken())
def end(request: Any, attempt_id: int, body: End) -> dict[str, Any]:
    """The attempt is over. The same end sent again is answered with the job's state."""
    attempt = _own(request, attempt_id)
    if attempt.state == Attempt.State.ENDED and attempt.outcome == body.outcome:
        return {"state": attempt.job.state}
    attempt = _attempt(request, attempt_id)
    if body.reason in NOT_FOR_WORKERS:
        raise BadReport(f"`{body.reason}` is for the site to find out, not for a worker to say.")
    if body.last_seq > attempt.acked_seq:
        raise BadReport(f"Events up to {body.last_seq} were not handed in; {attempt.acked_seq} were.")
    actor, sentence = f"worker {attempt.worker.name}", plain(body.sentence or "")
    tail = [plain(line)[:MAX_TEXT] for line in body.log_tail]
    job = transitions.end_attempt(attempt, actor, body.outcome, body.reason or "", sentence, body.detail, tail)
    if body.reason == "checkpoint_unreadable":
        handing_in.distrust_checkpoint(attempt)
    return {"state": job.state}


# ---- Inspections --------------------------------------------------------------------------------


def _inspection(request: Any, inspection_id: int) -> Inspection:
    inspection: Inspection = request.auth
    if inspection.pk != inspection_id:
        raise api_errors.Unknown
    if inspection.state != Inspection.State.RUNNING:
        raise transitions.StaleAttempt
    return inspection


class Progress(Schema):
    text: str = ""
    fraction: Finite | None = None


@worker_api.post("inspections/{inspection_id}/progress", auth=InspectionToken())
def progress(request: Any, inspection_id: int, body: Progress) -> dict[str, Any]:
    """Heartbeat and progress of an inspection."""
    inspecting.progress(_inspection(request, inspection_id), body.text, body.fraction)
    return {"wish": "run", "lease_seconds": settings.TIMINGS.lease_seconds}


@worker_api.get("inspections/{inspection_id}/inputs/{sha256}", auth=InspectionToken())
def inspection_input(request: Any, inspection_id: int, sha256: str) -> Any:
    """One of the inspection's input files."""
    return _sent(handing_in.open_input(_inspection(request, inspection_id).files, sha256))


@worker_api.put("inspections/{inspection_id}/files/{sha256}", auth=InspectionToken())
def inspection_file(request: Any, inspection_id: int, sha256: str) -> HttpResponse:
    """One file that the inspection made, as raw bytes."""
    made = handing_in.take_part(request, _inspection(request, inspection_id), sha256)
    return HttpResponse(status=201 if made else 200)


class Answer(Schema):
    answer: dict[str, Any] | None = None
    files: Annotated[list[File], Field(max_length=1000)] = []
    problem: dict[str, Any] | None = None


@worker_api.post("inspections/{inspection_id}/end", auth=InspectionToken())
def answer(request: Any, inspection_id: int, body: Answer) -> dict[str, Any]:
    """The inspection's answer, or the problem that kept it from one."""
    inspection = inspecting.finish(
        _inspection(request, inspection_id), body.answer, [file.dict() for file in body.files], body.problem
    )
    return {"state": inspection.state}


def _sent(found: tuple[IO[bytes], int] | None) -> Any:
    if found is None:
        raise api_errors.Unknown
    return streamed(*found, "application/octet-stream")
