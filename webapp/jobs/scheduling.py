"""Gives a worker that asks the next thing to run: an inspection first, else the job whose turn it is.

Inspections go first: they are short and people wait for them. The order of jobs is fair_share.py's, what fits a worker
fitting.py's, what a team may use quotas.py's; why a job still waits is said in outlook.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet

from webapp import clock
from webapp.accounts.tokens import Secret, make_secret
from webapp.jobs import choosing, fitting, transitions
from webapp.jobs.locking import first_unlocked
from webapp.jobs.models import Attempt, Checkpoint, Inspection, Job, JobState, Worker
from webapp.jobs.recording import say


@dataclass(frozen=True)
class Claim:
    """What a worker asks with: where it would run the next thing."""

    claim_id: str
    boot_id: str
    slot: int
    threads: int
    devices: list[dict[str, Any]]
    """One entry for each slot that is free now and could work together; the first is this slot's own."""


@dataclass(frozen=True)
class Claimed:
    """What it got: exactly one of the two, and the token for it."""

    token: str
    attempt: Attempt | None = None
    inspection: Inspection | None = None


def claimable_inspections(worker: Worker) -> QuerySet[Inspection]:
    """Open questions this worker may answer; a team's worker answers its own team's only."""
    asked = Inspection.objects.filter(state=Inspection.State.QUEUED, pool=worker.pool)
    if worker.team_id is not None:
        fields = ("base_model__team", "artifact__job__team", "dataset_version__dataset__team")
        own = Q(*((field, worker.team_id) for field in fields), _connector=Q.OR)
        asked = asked.filter(own)
    return asked.order_by("id")


def work_waits(worker: Worker) -> bool:
    """Whether a claim by a free slot of this worker would get something: the very question that a claim asks."""
    if not fitting.takes_jobs(worker):
        return False
    offer = fitting.offers_of([worker])[worker.pk]
    if not offer.free:
        return False
    return claimable_inspections(worker).exists() or choosing.next_for(worker, offer).job is not None


def claim(worker: Worker, asked: Claim) -> Claimed | None:
    """Give this worker the best thing it may run, or None. The same claim asked again gets the same answer."""
    with transaction.atomic():
        repeated = _repeated(worker, asked)
        if repeated:
            return repeated
        worker = Worker.objects.select_for_update(no_key=True).get(pk=worker.pk)  # one claim of a worker at a time
        if not fitting.takes_jobs(worker):
            return None
        return _claim_inspection(worker, asked) or _claim_job(worker, asked)


def _lease_until() -> Any:
    return clock.in_seconds(settings.TIMINGS.lease_seconds)


def _repeated(worker: Worker, asked: Claim) -> Claimed | None:
    """The reply was lost: hand out the same attempt with a fresh token, and the old token dies."""
    secret = make_secret("a")
    token = {"token_prefix": secret.prefix, "token_sha256": secret.sha256}
    attempts = Attempt.objects.filter(worker=worker, claim_id=asked.claim_id, state=Attempt.State.STARTING)
    if attempts.update(**token):
        return Claimed(secret.text, attempt=attempts.select_related("job").get())
    inspections = Inspection.objects.filter(
        worker=worker, claim_id=asked.claim_id, state=Inspection.State.RUNNING, progress_text=""
    )
    if inspections.update(**token):
        return Claimed(secret.text, inspection=inspections.get())
    return None


def _claim_inspection(worker: Worker, asked: Claim) -> Claimed | None:
    inspection = first_unlocked(claimable_inspections(worker))
    if inspection is None:
        return None
    secret = make_secret("a")
    taken = Inspection.objects.filter(pk=inspection.pk, state=Inspection.State.QUEUED).update(
        state=Inspection.State.RUNNING,
        worker=worker,
        boot_id=asked.boot_id,
        claim_id=asked.claim_id,
        token_prefix=secret.prefix,
        token_sha256=secret.sha256,
        lease_until=_lease_until(),
        tries=inspection.tries + 1,
        progress_text="",
        progress_fraction=None,
    )
    inspection.refresh_from_db()
    return Claimed(secret.text, inspection=inspection) if taken else None


def _claim_job(worker: Worker, asked: Claim) -> Claimed | None:
    offer = fitting.offer_to(worker, asked.devices)
    chosen = choosing.next_for(worker, offer, lock=True)
    if chosen.job is None:
        if chosen.reserve is not None:
            choosing.keep_free(worker, chosen.reserve)
        return None
    choosing.give_up_reservation(worker)
    job, secret = chosen.job, make_secret("a")
    attempt = _new_attempt(job, worker, asked, secret)
    transitions.move(
        job,
        JobState.QUEUED,
        JobState.STARTING,
        f"worker {worker.name}",
        attempt=attempt,
        current_attempt=attempt,
        attempts_made=attempt.number,
        threads=attempt.threads,
        reason_sentence="",
    )
    say(
        job.pk,
        "attempt",
        {"number": attempt.number, "worker": worker.name, "resumed_step": attempt.resumed_step},
        attempt,
    )
    return Claimed(secret.text, attempt=attempt)


def _new_attempt(job: Job, worker: Worker, asked: Claim, secret: Secret) -> Attempt:
    checkpoint = newest_checkpoint(job)
    attempt = Attempt.objects.create(
        job=job,
        number=job.attempts_made + 1,
        worker=worker,
        boot_id=asked.boot_id,
        claim_id=asked.claim_id,
        slot=asked.slot,
        threads=job.threads or asked.threads,
        devices=asked.devices[: job.gpus],
        token_prefix=secret.prefix,
        token_sha256=secret.sha256,
        lease_until=_lease_until(),
        resumed_step=checkpoint.step if checkpoint else 0,
    )
    attempt.refresh_from_db(fields=["lease_until"])  # the database's own clock set it
    return attempt


def newest_checkpoint(job: Job) -> Checkpoint | None:
    """What the next attempt resumes from: the job's own newest checkpoint, or that of the nearest job it retries."""
    of: Job | None = job
    while of is not None:
        if of.attempts_made and (found := of.checkpoints.filter(damaged_at=None).order_by("-step", "-id").first()):
            return found
        of = of.retry_of
    return None
