"""What happened along a job's way, for its charts: where attempts went on, checkpoints, the best evaluation."""

from __future__ import annotations

from typing import Any

from webapp.jobs.models import Attempt, Event, Job

CHECKPOINTS_AT_MOST = 200
Mark = dict[str, Any]


def marks(job: Job) -> list[Mark]:
    """Each with its kind and step, in the order of steps."""
    found = [*_attempts(job), *_checkpoints(job), *_best(job)]
    return sorted(found, key=lambda mark: int(mark["step"]))


def _attempts(job: Job) -> list[Mark]:
    """Only those that went on from a checkpoint: a first attempt, and one from the start, leave no seam."""
    rows = Attempt.objects.filter(job=job, resumed_step__gt=0).order_by("number")
    return [{"kind": "attempt", "attempt": row.number, "step": row.resumed_step} for row in rows]


def _checkpoints(job: Job) -> list[Mark]:
    bodies = Event.objects.filter(job=job, kind="checkpoint").order_by("-number").values_list("body", flat=True)
    steps = {body["step"] for body in bodies[:CHECKPOINTS_AT_MOST] if isinstance(body.get("step"), int)}
    return [{"kind": "checkpoint", "step": step} for step in steps]


def _best(job: Job) -> list[Mark]:
    best = job.best_metric
    return [{"kind": "best", "step": best["step"], "name": best["name"], "value": best["value"]}] if best else []
