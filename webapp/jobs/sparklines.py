"""Small lines beside a number, drawn on the server: the shape of a series, nothing to be read off."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from webapp.jobs.columns import Columns
from webapp.jobs.metrics import bucket_edges
from webapp.jobs.models import Job, MetricChunk

POINTS = 40
WIDTH, HEIGHT = 80, 20
CHUNKS_AT_MOST = 40
CHUNKS_OF_ONE = (3, 10)
CHUNKS_OF_ALL = 160
"""Of many jobs each has from three to ten, by how many they are: a shape needs no more, however long its history."""


def newest_columns(job: Job) -> Columns:
    """The end of its history, enough for a glance."""
    chunks = list(MetricChunk.objects.filter(job=job).order_by("-first_event")[:CHUNKS_AT_MOST])
    return Columns.joined([chunk.columns for chunk in reversed(chunks)])


def sparklines(columns: Columns, names: Sequence[str]) -> dict[str, str]:
    """The `d` of an SVG path for each series that has at least two points."""
    held = {name: columns.series[name].values.tolist() for name in names if name in columns.series}
    return {name: line for name, values in held.items() if (line := path(values))}


def courses(jobs: Sequence[Job], name: str) -> dict[int, list[float]]:
    """The finite values of one series by job, over the whole history, from two queries for all jobs."""
    rows = MetricChunk.objects.filter(job__in=jobs).order_by("job", "first_event").values_list("job_id", "pk")
    chunks: dict[int, list[int]] = {}
    for job, each in rows:
        chunks.setdefault(job, []).append(each)
    least, most = CHUNKS_OF_ONE
    each_has = max(least, min(most, CHUNKS_OF_ALL // max(1, len(chunks))))
    picked = [each for held in chunks.values() for each in _spread(held, each_has)]
    found: dict[int, list[float]] = {}
    for whole in MetricChunk.objects.filter(pk__in=picked).order_by("job", "first_event"):
        if held := whole.columns.series.get(name):
            found.setdefault(whole.job_id, []).extend(filter(math.isfinite, held.values.tolist()))
    return found


def _spread(chunks: list[int], most: int) -> list[int]:
    """The last of each of so many stretches, and the first."""
    return [chunks[0], *(chunks[edge - 1] for edge in bucket_edges(len(chunks), most)[1:].tolist())]


def together(lines: Iterable[Sequence[float]]) -> list[str]:
    """Lines of one picture: one scale for all of them."""
    picked = [each for line in lines if len(each := _picked(line)) >= 2]
    low, high = min((min(each) for each in picked), default=0), max((max(each) for each in picked), default=0)
    return [_drawn(each, low, high) for each in picked]


def path(values: Sequence[float]) -> str:
    """At most 40 points, each the last of its bucket; empty for fewer than two numbers."""
    return "".join(together([values]))


def _picked(values: Sequence[float]) -> list[float]:
    known = [value for value in values if math.isfinite(value)]
    return [known[edge - 1] for edge in bucket_edges(len(known), POINTS)[1:].tolist()] if known else []


def _drawn(picked: Sequence[float], low: float, high: float) -> str:
    step = WIDTH / (len(picked) - 1)
    span = high - low or 1.0
    places = [(i * step, 1 + (HEIGHT - 2) * (1 - (value - low) / span)) for i, value in enumerate(picked)]
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
