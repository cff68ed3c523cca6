"""What was said of jobs before they started, held against what they then needed."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from webapp.jobs.models import Job


@dataclass(frozen=True)
class Held:
    """One estimate and its measurement."""

    low: float
    high: float
    measured: float

    @property
    def inside(self) -> bool:
        return self.low <= self.measured <= self.high

    @property
    def error_percent(self) -> float:
        """Of the measured against the middle of the range; positive: it needed more."""
        middle = (self.low + self.high) / 2
        return 100 * (self.measured - middle) / middle


@dataclass(frozen=True)
class Judged:
    """A job with what is known of its estimates."""

    job: Job
    memory: Held | None
    seconds: Held | None
    rough: bool


def judge(job: Job) -> Judged | None:
    """None where nothing was said, or nothing measured."""
    told = job.estimated if isinstance(job.estimated, dict) else {}
    took = (job.ended_at - job.started_at).total_seconds() if job.started_at and job.ended_at else None
    memory, seconds = _held(told.get("memory"), job.peak_memory_bytes), _held(told.get("seconds"), took)
    return Judged(job, memory, seconds, bool(told.get("rough"))) if memory or seconds else None


def _held(told: Any, measured: float | None) -> Held | None:
    if not isinstance(told, list) or len(told) != 2 or measured is None or sum(told) <= 0:
        return None
    return Held(float(told[0]), float(told[1]), float(measured))


@dataclass(frozen=True)
class Summary:
    """How well estimates held over many jobs."""

    jobs: int
    inside: int
    median_error_percent: float | None
    """Of the sizes of the errors."""


def summed_up(held: Iterable[Held | None]) -> Summary:
    known: Sequence[Held] = [each for each in held if each is not None]
    errors = [abs(each.error_percent) for each in known]
    return Summary(len(known), sum(each.inside for each in known), statistics.median(errors) if errors else None)
