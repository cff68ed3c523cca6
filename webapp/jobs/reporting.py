"""Takes in what an attempt says: checks shapes, skips what it has, numbers the rest, keeps the job's summary current.

What a worker reports is a claim, not a fact: shapes and sizes are checked here, states change in transitions.py.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from webapp import clock
from webapp.jobs import said, transitions
from webapp.jobs.log_text import MAX_TEXT, level_of, plain
from webapp.jobs.models import Attempt, Job, JobState
from webapp.jobs.pace import interrupted, moved_on
from webapp.jobs.recording import as_numbers, keep, take_numbers, tell_time_left
from webapp.jobs.reported import BadReport, ForwardPass, TooMuch, check_events

MAX_EVENTS = 1000
MAX_BATCH_BYTES = 1024 * 1024
LARGEST = 2**62
BEYOND = 2.0**127
"""No chart holds such a number, and sums of a few overflow: taken for infinite."""


def renew(attempt: Attempt) -> None:
    """Prolong the lease; from here to the end of the transaction the attempt's row is ours.

    Raises StaleAttempt unless the attempt is acknowledged and has not ended: no other report counts before that.
    """
    live = Attempt.objects.filter(pk=attempt.pk, state=Attempt.State.RUNNING)
    if live.update(lease_until=clock.in_seconds(settings.TIMINGS.lease_seconds)) == 0:
        raise transitions.StaleAttempt


def unacknowledged() -> Q:
    """Attempts whose time to be acknowledged is over: they have had a whole lease since their claim."""
    timings = settings.TIMINGS
    over = clock.in_seconds(timings.lease_seconds - timings.ack_limit_seconds)
    return Q(state=Attempt.State.STARTING, lease_until__lt=over)


def acknowledge(attempt: Attempt) -> None:
    """`starting` to `running`; the same call again is fine. Raises StaleAttempt, also when it comes too late."""
    with transaction.atomic():
        until = clock.in_seconds(settings.TIMINGS.lease_seconds)
        in_time = Attempt.objects.filter(pk=attempt.pk, state=Attempt.State.STARTING).exclude(unacknowledged())
        if in_time.update(state=Attempt.State.RUNNING, acked_at=clock.now(), lease_until=until) == 0:
            renew(attempt)
            return
        job = attempt.job
        actor = f"worker {attempt.worker.name}"
        moved: dict[str, Any] = {"started_at": job.started_at or clock.now(), "phase": "preparing"}
        transitions.move(job, JobState.STARTING, JobState.RUNNING, actor, attempt=attempt, **moved)


def accept(attempt: Attempt, first_seq: int, events: list[dict[str, Any]]) -> int:
    """Keep a batch and renew the lease; returns the highest `seq` that is stored.

    Events whose `seq` is stored already are skipped. Raises StaleAttempt, BadReport, TooMuch.
    """
    if len(events) > MAX_EVENTS:
        raise TooMuch(f"A batch holds at most {MAX_EVENTS:,} events; this one has {len(events):,}.")
    if first_seq < 1:
        raise BadReport(f"Events are numbered from 1; this batch starts at {first_seq}.")
    with transaction.atomic():
        renew(attempt)
        facts = Attempt.objects.filter(pk=attempt.pk).values_list("acked_seq", "job__total_steps")
        acked, last_step = facts.get()
        if events and first_seq > acked + 1:
            raise BadReport(f"Event {acked + 1} is missing: the batch starts at {first_seq}.")
        new = events[max(0, acked + 1 - first_seq) :]
        if not new:
            return int(acked)
        _check(new, last_step)
        Attempt.objects.filter(pk=attempt.pk).update(acked_seq=acked + len(new))
        job = take_numbers(attempt.job_id, len(new), *SUMMARY)
        _summarise(job, attempt, new)
        tell_time_left(new, job)
        keep(job, attempt, new)
        return int(acked + len(new))


def _check(events: list[dict[str, Any]], last_step: int) -> None:
    """Raises BadReport; makes log lines and samples plain and cuts them to their longest."""
    for checked in check_events(events):
        if last_step and checked.own_step > last_step:
            raise BadReport(f"Step {checked.own_step:,} lies beyond the job's last, {last_step:,}.")
    for event in events:
        if event["kind"] == "log":
            event["text"] = plain(event.get("text", ""))[:MAX_TEXT]
            event["level"] = level_of(event.get("level", ""))
        if "samples" in event:
            event["samples"] = said.bounded(event["samples"])


SUMMARY = (
    "phase",
    "step",
    "total_steps",
    "epoch",
    "pace",
    "trainable_parameters",
    "total_parameters",
    "last_loss",
    "best_metric",
    "final_metrics",
    "notes",
    "forward_pass",
    "tokens_per_second",
    "tokens_seen",
    "energy_joules",
    "peak_memory_bytes",
    "memory_kind",
    "device",
    "device_memory_total_bytes",
)
"""What a job's row says of its training."""


def _summarise(job: Job, attempt: Attempt, events: list[dict[str, Any]]) -> None:
    """Carry the newest facts onto the job, so that lists never read chunks.

    Reading and writing back is safe: the events' numbers were just taken in this transaction, so the row is ours.
    """
    before = {name: getattr(job, name) for name in SUMMARY}
    for event in events:
        SUMMARIES.get(event["kind"], _nothing)(job, event)
        if event["kind"] == "plan":
            Attempt.objects.filter(pk=attempt.pk).update(resumed_step=job.step)
    if changed := {name: now for name in SUMMARY if (now := getattr(job, name)) != before[name]}:
        Job.objects.filter(pk=job.pk).update(**changed)


def _nothing(job: Job, event: dict[str, Any]) -> None:
    """Kinds that change no summary."""


def _plan(job: Job, event: dict[str, Any]) -> None:
    job.total_steps = int(event.get("total_steps", 0))
    job.step = int(event.get("resumed_step", 0))
    job.pace = interrupted(job.pace)
    job.trainable_parameters = event.get("trainable_parameters")
    job.total_parameters = event.get("total_parameters")
    job.device = str(event.get("device", ""))[:80]
    job.memory_kind = str(event.get("memory_kind", ""))[:20]
    job.device_memory_total_bytes = event.get("device_memory_total_bytes")


def _phase(job: Job, event: dict[str, Any]) -> None:
    job.phase = str(event.get("phase", ""))[:20]


def _metrics(job: Job, event: dict[str, Any]) -> None:
    values = as_numbers(event["values"])
    sound = _bounded(values)
    if "loss" in values:
        job.step, job.epoch = event["step"], float(event.get("epoch") or 0)
        job.last_loss = sound.get("loss")
        job.tokens_per_second = sound.get("tokens_per_second", job.tokens_per_second)
        job.pace = moved_on(job.pace, job.step, float(event.get("time", 0.0)))
        _spend(job, sound)
    memory = sound.get("device_memory_peak_bytes") or sound.get("device_memory_bytes")
    if memory and 0 < memory < LARGEST:
        job.peak_memory_bytes = max(job.peak_memory_bytes or 0, int(memory))


def _bounded(values: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if abs(value) < BEYOND}


def _spend(job: Job, values: dict[str, float]) -> None:
    if 0 <= (tokens := values.get("tokens_seen", -1.0)) < LARGEST:
        job.tokens_seen = int(tokens)
    joules = values.get("power_watts", -1.0) * values.get("step_seconds", 0.0)
    if 0 <= joules < LARGEST and "power_watts" in values:
        job.energy_joules = (job.energy_joules or 0.0) + joules


def _result(job: Job, event: dict[str, Any]) -> None:
    job.final_metrics = _bounded(as_numbers(event.get("final_metrics") or {}))
    best = event.get("best_metric")
    job.best_metric = best if best and abs(best["value"]) < BEYOND else None
    job.notes = list(event.get("notes") or [])
    told = event.get("forward_pass") or {}
    job.forward_pass = {name: told[name] for name in FORWARD_PASS if told.get(name) is not None}


FORWARD_PASS = tuple(ForwardPass.model_fields)
SUMMARIES = {"plan": _plan, "phase": _phase, "metrics": _metrics, "result": _result}
