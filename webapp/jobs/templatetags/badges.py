"""Badges of states: a shape, a word and a colour, so that colour is never the only sign."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from webapp.accounts.templatetags.icons import icon
from webapp.jobs.models import Attempt, Job, JobState

register = template.Library()


@dataclass(frozen=True)
class Shown:
    """How a state looks: CSS kind, icon, word."""

    kind: str
    icon: str
    word: str


ENDS = {
    JobState.SUCCEEDED: Shown("good", "tick", "Succeeded"),
    JobState.FAILED: Shown("bad", "cross", "Failed"),
    JobState.CANCELLED: Shown("", "barred", "Cancelled"),
    JobState.QUEUED: Shown("", "clock", "Queued"),
    JobState.PAUSED: Shown("held", "bars", "Paused"),
}
FILES = {
    "ready": Shown("good", "tick", "Ready"),
    "checking": Shown("busy", "quarter", "Checking"),
    "needs_choice": Shown("warn", "warn", "Needs a choice"),
    "refused": Shown("bad", "cross", "Refused"),
}
PHASES = {
    "loading": Shown("busy", "quarter", "Preparing"),
    "evaluating": Shown("busy", "half", "Evaluating"),
    "saving": Shown("busy", "disc", "Saving"),
}


def shown(job: Job) -> Shown:
    """A job's state as a person sees it: phases and a lost worker are ways of running."""
    if not job.at_work:
        return ENDS[JobState(job.state)]
    if lost(job.current_attempt):
        return Shown("warn", "warn", "Lost worker")
    if job.wish != "run":
        return Shown("held", "bars", "Stopping")
    if job.state == JobState.STARTING:
        return PHASES["loading"]
    return PHASES.get(job.phase) or Shown("busy", "disc", f"Running {100 * job.progress:.0f} %")


def lost(attempt: Attempt | None) -> bool:
    """The lease is past due and nobody has ended the attempt yet."""
    return attempt is not None and attempt.state != Attempt.State.ENDED and attempt.lease_until < timezone.now()


def _badge(look: Shown) -> SafeString:
    return format_html('<span class="badge {}">{}{}</span>', look.kind, icon(look.icon), look.word)


@register.simple_tag
def job_badge(job: Job) -> SafeString:
    return _badge(shown(job))


@register.simple_tag
def file_badge(row: Any) -> SafeString:
    """For dataset versions and base models."""
    return _badge(FILES[row.state])


@register.simple_tag
def worker_badge(worker: Any) -> SafeString:
    if worker.last_hello_at is None:
        return _badge(Shown("", "ring", "Waiting for its first call"))
    if not worker.online:
        return _badge(Shown("warn", "warn", "Lost"))
    if worker.suspended_at:
        return _badge(Shown("bad", "cross", "Suspended"))
    if worker.report.get("deaf"):
        return _badge(Shown("warn", "warn", "Deaf"))
    if worker.drain or worker.report.get("draining"):
        return _badge(Shown("held", "bars", "Draining"))
    busy = worker.report.get("busy_slots", 0)
    return _badge(Shown("busy", "disc", "Busy") if busy else Shown("good", "tick", "Idle"))
