"""Small lines beside a number, drawn on the server: the shape of a series, nothing to be read off."""

from __future__ import annotations

import math
from collections.abc import Sequence

from webapp.jobs.columns import Columns
from webapp.jobs.metrics import bucket_edges
from webapp.jobs.models import Job, MetricChunk

POINTS = 40
WIDTH, HEIGHT = 80, 20
CHUNKS_AT_MOST = 40


def newest_columns(job: Job) -> Columns:
    """The end of its history, enough for a glance."""
    chunks = list(MetricChunk.objects.filter(job=job).order_by("-first_event")[:CHUNKS_AT_MOST])
    return Columns.joined([chunk.columns for chunk in reversed(chunks)])


def sparklines(columns: Columns, names: Sequence[str]) -> dict[str, str]:
    """The `d` of an SVG path for each series that has at least two points."""
    held = {name: columns.series[name].values.tolist() for name in names if name in columns.series}
    return {name: line for name, values in held.items() if (line := path(values))}


def path(values: Sequence[float]) -> str:
    """At most 40 points, each the last of its bucket; empty for fewer than two numbers."""
    known = [value for value in values if math.isfinite(value)]
    if len(known) < 2:
        return ""
    picked = [known[edge - 1] for edge in bucket_edges(len(known), POINTS)[1:].tolist()]
    if len(picked) < 2:
        return ""
    low, high = min(picked), max(picked)
    span = high - low or 1.0
    step = WIDTH / (len(picked) - 1)
    places = [(i * step, 1 + (HEIGHT - 2) * (1 - (value - low) / span)) for i, value in enumerate(picked)]
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
