"""What must hold of a job's rows at any moment, whatever happened before."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from webapp.jobs.holding import Hold
from webapp.jobs.models import AT_WORK, Attempt, Event, Job, MetricChunk
from webapp.jobs.reconciling import Reconciler
from webapp.jobs.transitions import ALLOWED

SAID_BY_ATTEMPTS = ("log", "phase", "plan", "result", "checkpoint", "failed", "noise")


def check_legal(job_id: int) -> Job:
    """Every invariant of one job; returns it as it is now."""
    job = Job.objects.get(pk=job_id)
    _check_history(job)
    _check_attempts(job)
    _check_events(job)
    if job.state in ("failed", "cancelled"):
        assert job.reason_code, f"{job.state} without a reason"
        assert job.reason_sentence
    return job


def _check_history(job: Job) -> None:
    changes = list(job.history.values_list("before", "after"))
    state = "queued"
    for before, after in changes:
        if (before, after) == ("", "queued"):
            continue
        assert before == state, f"the history jumps: {changes}"
        assert (before, after) in ALLOWED, f"no such transition: {before} to {after}"
        state = after
    assert state == job.state, f"history ends {state}, job is {job.state}"


def _check_attempts(job: Job) -> None:
    attempts = list(job.attempts.order_by("number"))
    assert [attempt.number for attempt in attempts] == list(range(1, len(attempts) + 1))
    assert job.attempts_made == len(attempts)
    live = [attempt for attempt in attempts if attempt.state != Attempt.State.ENDED]
    assert len(live) == (1 if job.state in AT_WORK else 0), f"job {job.state} with {len(live)} live attempts"
    if live:
        assert live[0].state == job.state
        assert job.current_attempt_id == live[0].pk
    assert all(attempt.ended_at and attempt.outcome for attempt in attempts if attempt not in live)


def _check_events(job: Job) -> None:
    numbers = list(Event.objects.filter(job=job).values_list("number", flat=True))
    for chunk in MetricChunk.objects.filter(job=job):
        numbers += chunk.columns.event.tolist()
    assert sorted(numbers) == list(range(1, job.last_event + 1)), "event numbers have a gap or a double"
    for attempt in job.attempts.all():
        said = attempt.events.filter(kind__in=SAID_BY_ATTEMPTS).count()
        points = sum(chunk.points for chunk in attempt.chunks.all())
        assert attempt.acked_seq == said + points, "what was acknowledged is not what is stored"


def awake_reconciler() -> Reconciler:
    """One that has just swept, hears workers, and so blames whoever is late."""
    reconciler = Reconciler(answers=lambda: True, hold=Hold("the test's"))
    assert reconciler.turn()
    return reconciler


def let_every_lease_run_out() -> None:
    Attempt.objects.exclude(state=Attempt.State.ENDED).update(lease_until=timezone.now() - timedelta(seconds=1))
