"""The checkpoints that a job saved, with how well it stood at each; of most only the line is left, not the files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from webapp.jobs.figures import SMOOTHING
from webapp.jobs.metrics import read_history, smoothed
from webapp.jobs.models import Checkpoint, Event, Job
from webapp.jobs.scheduling import newest_checkpoint

SHOWN_AT_MOST = 200


@dataclass(frozen=True)
class Saved:
    """One checkpoint; `kept` is None once newer ones have taken its place."""

    step: int
    attempt: int | None
    at: datetime
    kept: Checkpoint | None
    best: bool
    """The best evaluation of the whole job was at its step."""
    next: bool
    """A resume or retry goes on from here."""
    train_loss: float | None
    """Smoothed, as the chart has it."""
    eval_loss: float | None


def saved(job: Job) -> list[Saved]:
    """Newest first, at most 200; of a step that two attempts saved, the later one's."""
    rows = Event.objects.filter(job=job, kind="checkpoint").select_related("attempt").order_by("-number")
    told = {row.body["step"]: row for row in reversed(rows[:SHOWN_AT_MOST]) if isinstance(row.body.get("step"), int)}
    kept = {each.step: each for each in job.checkpoints.select_related("attempt").order_by("id")}
    if not told and not kept:
        return []
    next, losses = newest_checkpoint(job), _losses(job)
    best = job.best_metric["step"] if job.best_metric else None
    return [
        Saved(
            step,
            _attempt(told.get(step), kept.get(step)),
            kept[step].created_at if step in kept else told[step].at,
            kept.get(step),
            step == best,
            next is not None and kept.get(step) == next,
            *(each.get(step) for each in losses),
        )
        for step in sorted({*told, *kept}, reverse=True)
    ]


def _attempt(event: Event | None, checkpoint: Checkpoint | None) -> int | None:
    if checkpoint is not None:
        return checkpoint.attempt.number
    return event.attempt.number if event is not None and event.attempt else None


def _losses(job: Job) -> tuple[Mapping[int, float], Mapping[int, float]]:
    """Train loss, smoothed, and eval loss by step, of the points that count."""
    columns = read_history(job).columns
    found: list[dict[int, float]] = []
    for name, weight in (("loss", SMOOTHING), ("eval_loss", 0.0)):
        series = columns.series.get(name)
        if series is None:
            found.append({})
            continue
        values = smoothed(series.values.astype(np.float64), weight)[0]
        steps = columns.step[series.rows]
        found.append(dict(zip(steps.tolist(), values.tolist(), strict=True)))
    return found[0], found[1]
