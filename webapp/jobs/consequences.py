"""What the end of an attempt means for its job: the next state, its reason, and when it may be tried again.

It decides and writes nothing; transitions.py acts on it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.conf import settings

from webapp import clock
from webapp.jobs.models import Attempt, Job, JobState
from workers.protocol import INFRASTRUCTURE_REASONS, MAX_INFRASTRUCTURE_ENDS, UNCOUNTED_REASONS, USER_REASONS

NOT_FOR_WORKERS = frozenset({"finished", "not_acked", "site_restored"})
"""Reasons that only the site itself can know; a worker that sends one is refused."""


@dataclass(frozen=True)
class Consequence:
    """The job's next state, its reason code, and fields that change with it."""

    after: str
    code: str
    fields: dict[str, Any] = field(default_factory=dict)


def consequence(job: Job, attempt: Attempt, outcome: str, code: str) -> Consequence:
    """Of this attempt's end, as the person's wish stands now."""
    if job.wish == "cancel":
        return Consequence(JobState.CANCELLED, cancelled_code(job))
    if attempt.state == Attempt.State.STARTING:
        return _never_began(job, code)
    if outcome == "succeeded":
        if not attempt.artifacts.exists():
            return Consequence(JobState.FAILED, "no_output")
        return Consequence(JobState.SUCCEEDED, "finished")
    if code in USER_REASONS:
        return Consequence(JobState.FAILED, code)
    if job.wish == "pause":
        return Consequence(JobState.PAUSED, "paused_by_user")
    if code in UNCOUNTED_REASONS:
        return Consequence(JobState.QUEUED, "drained" if code == "paused_by_user" else code, {"not_before": None})
    if code not in INFRASTRUCTURE_REASONS:
        return Consequence(JobState.FAILED, "trainer_error")
    return _infrastructure(job, code)


def cancelled_code(job: Job) -> str:
    """Why a job that was at work is cancelled: noted with the wish."""
    return "cancelled_with_parent" if job.reason_code == "cancelled_with_parent" else "cancelled_by_user"


def _never_began(job: Job, code: str) -> Consequence:
    """Nobody trained anything yet, so nothing counts, whatever the attempt's own reason is."""
    if job.wish == "pause":
        return Consequence(JobState.PAUSED, "paused_by_user")
    return Consequence(JobState.QUEUED, code if code in NOT_FOR_WORKERS else "not_acked", {"not_before": None})


def _infrastructure(job: Job, code: str) -> Consequence:
    """The second attempt may start at once, the third waits: what broke two machines may break another."""
    ends = job.infrastructure_ends + 1
    if ends >= MAX_INFRASTRUCTURE_ENDS:
        return Consequence(JobState.FAILED, "crashed_worker", {"infrastructure_ends": ends})
    pause = clock.in_seconds(settings.TIMINGS.third_attempt_seconds) if ends == MAX_INFRASTRUCTURE_ENDS - 1 else None
    return Consequence(JobState.QUEUED, code, {"infrastructure_ends": ends, "not_before": pause})
