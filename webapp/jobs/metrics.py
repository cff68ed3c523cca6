"""A job's metric history for charts and the API: superseded points left out, smoothed, then reduced to buckets.

Smoothing is the debiased exponential average s = w·s + (1−w)·y, out = s / (1 − wⁿ), over the full series; only then
are points put into buckets, which keep last, min and max.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from webapp.jobs.columns import Columns
from webapp.jobs.models import Attempt, Job, MetricChunk
from webapp.jobs.recording import as_json_number

Floats = NDArray[np.float64]
NEVER_SMOOTHED = (
    *("learning_rate", "device_memory", "allocated_", "reserved_", "power_limit", "temperature", "eval_"),
    *("spent_", "disk_free", "host_memory"),
)
AVERAGED = "spent_"
"""Of these a bucket keeps the mean instead of the last value: they are amounts, and their sum must stay."""
NOT_FINITE_AT_MOST = 100
BLOCK = 128
AROUND = 4
"""Around what is looked at closely there are so many times fewer buckets."""
Steps = tuple[int, int]


@dataclass(frozen=True)
class History:
    """All points of a job that count: of a step that two attempts have, the later attempt's."""

    columns: Columns
    attempts: list[dict[str, int]]
    discarded: dict[int, Columns]
    """By attempt number: points that a later attempt replaced."""


def read_history(job: Job) -> History:
    """From all chunks. A later attempt replaces everything after the step it resumed from."""
    attempts = list(Attempt.objects.filter(job=job).order_by("number"))
    parts: dict[int, list[Columns]] = {}
    for chunk in MetricChunk.objects.filter(job=job).order_by("first_event"):
        parts.setdefault(chunk.attempt_id, []).append(chunk.columns)
    kept, spans, discarded = [], [], {}
    ceiling = math.inf
    for attempt in reversed(attempts):
        said = Columns.joined(parts.get(attempt.pk, []))
        columns = said.where(said.step <= ceiling)
        if len(columns) < len(said):
            discarded[attempt.number] = said.where(said.step > ceiling)
        if len(columns):
            first, last = int(columns.step.min()), int(columns.step.max())
            resumed = attempt.resumed_step or 0
            span = {"number": attempt.number, "first_step": first, "last_step": last, "resumed_step": resumed}
            spans.append(span)
        if attempt.acked_at is not None:
            ceiling = min(ceiling, attempt.resumed_step or -1)  # from the start: nothing of the earlier ones counts
        kept.append(columns)
    return History(Columns.joined(kept[::-1]), spans[::-1], discarded)


def history(
    job: Job,
    names: list[str] | None = None,
    points: int = 1000,
    smoothing: float = 0.0,
    after: int = 0,
    within: Steps | None = None,
) -> dict[str, Any]:
    """Columns for the API: `step` is the sorted union, null where a series has no point there.

    points: most buckets of a series; smoothing: weight w in [0, 1); after: only steps beyond this one; within: first
    and last step of a stretch that gets all the buckets, while a quarter as many more show what lies around it.
    """
    read = read_history(job)
    columns = read.columns.where(read.columns.step > after) if after else read.columns
    wanted = [name for name in columns.series if names is None or name in names]
    reduced = {name: _reduced(columns, name, points, smoothing, within) for name in wanted}
    steps = np.unique(np.concatenate([each.step for each in reduced.values()] or [np.array([], np.int64)]))
    answer: dict[str, Any] = {"step": steps.tolist(), **_places(columns, steps)}
    for part in ("series", "min", "max", "smooth"):
        answer[part] = {name: each.spread(part, steps) for name, each in reduced.items()}
    states = {name: each.state for name, each in reduced.items()}
    return answer | {
        "smoothing": {"weight": smoothing, "algorithm": "debiased exponential average", "state": states},
        "attempts": read.attempts,
        "discarded": _discarded(read, names, points),
        "not_finite": {name: odd for name in wanted if (odd := _not_finite(columns, name))},
        "cursor": job.last_event,
    }


def _discarded(read: History, names: list[str] | None, points: int) -> list[dict[str, Any]]:
    """The tails that later attempts replaced, raw, for a chart to draw faintly."""
    tails = []
    for number, columns in sorted(read.discarded.items()):
        for name in columns.series:
            if names is None or name in names:
                tail = _reduced(columns, name, points, 0.0)
                places = _places(columns, tail.step)
                tails.append(
                    {"attempt": number, "name": name, "step": tail.step.tolist(), **places}
                    | {"values": tail.spread("series", tail.step)}
                )
    return tails


def _not_finite(columns: Columns, name: str) -> list[dict[str, Any]]:
    """Where a series was logged as no number: JSON has only null for it, which also means absent."""
    held = columns.series[name]
    odd = np.flatnonzero(~np.isfinite(held.values))[:NOT_FINITE_AT_MOST]
    rows = held.rows[odd]
    places = _places(columns, columns.step[rows])
    said = [as_json_number(value) for value in held.values[odd].tolist()]
    return [
        {"step": step, "value": value, **{axis: at[i] for axis, at in places.items()}}
        for i, (step, value) in enumerate(zip(columns.step[rows].tolist(), said, strict=True))
    ]


@dataclass(frozen=True)
class _Reduced:
    step: NDArray[np.int64]
    series: Floats
    min: Floats
    max: Floats
    smooth: Floats
    state: list[float]

    def spread(self, part: str, steps: NDArray[np.int64]) -> list[float | None]:
        """The values at the union of all steps; null where there is none, or where it is not a number."""
        spread = np.full(len(steps), np.nan)
        spread[np.searchsorted(steps, self.step)] = getattr(self, part)
        return [None if not math.isfinite(value) else float(f"{value:.7g}") for value in spread.tolist()]


def _reduced(columns: Columns, name: str, points: int, weight: float, within: Steps | None = None) -> _Reduced:
    held = columns.series[name]
    step, values = columns.step[held.rows], held.values.astype(np.float64)
    order = np.argsort(step, kind="stable")
    step, values = step[order], values[order]
    if name.startswith(NEVER_SMOOTHED) or np.ptp(values) == 0:
        weight = 0.0
    smooth, state = smoothed(values, weight)
    edges = bucket_edges(len(values), points)
    if within:
        first, end = np.searchsorted(step, within[0]), np.searchsorted(step, within[1], side="right")
        edges = _finer_within(edges, points, int(first), int(end))
    last = edges[1:] - 1
    low, high = _extremes(values, edges)
    kept = values[last]
    if name.startswith(AVERAGED) and len(values):
        kept = np.add.reduceat(values, edges[:-1]) / np.diff(edges)
        return _Reduced(step[last], kept, low, high, kept, state)
    return _Reduced(step[last], kept, low, high, smooth[last], state)


def smoothed(values: Floats, weight: float) -> tuple[Floats, list[float]]:
    """The debiased exponential average, and (s, n) from which live points continue it. NaN passes through."""
    if weight == 0.0:
        return values, [0.0, 0.0]
    finite = np.isfinite(values)
    counted = values[finite]
    n = len(counted)
    averages = _averages(counted, weight)
    state = [float(averages[-1]) if n else 0.0, float(n)]
    biased = min(n, math.ceil(math.log(1e-17) / math.log(weight)))  # further on wⁿ is nothing beside 1
    averages[:biased] /= 1 - weight ** np.arange(1.0, biased + 1)
    out = values.copy()
    out[finite] = averages
    return out, state


def _averages(values: Floats, weight: float) -> Floats:
    """s = w·s + (1−w)·y after each value, with s = 0 before the first.

    Block by block, for a loop over 100,000 values of many series would be felt: within a block, shape (BLOCK,), a
    product with the triangle of powers of w; from block to block the last s is carried on.
    """
    padded = np.zeros(-(-len(values) // BLOCK) * BLOCK)
    padded[: len(values)] = (1 - weight) * values
    place = np.arange(BLOCK)
    apart = place - place[:, None]
    within = padded.reshape(-1, BLOCK) @ np.where(apart >= 0, weight ** np.maximum(apart, 0), 0.0)
    carried, s = np.empty(len(within)), 0.0
    for block, end in enumerate(within[:, -1].tolist()):
        carried[block], s = s, weight**BLOCK * s + end
    return (within + np.outer(carried, weight ** (place + 1))).ravel()[: len(values)]


def bucket_edges(n: int, points: int) -> NDArray[np.int64]:
    """Edges of at most `points` buckets of n values, as even as whole numbers allow."""
    return np.unique(np.linspace(0, n, min(n, points) + 1).astype(np.int64))


def _finer_within(edges: NDArray[np.int64], points: int, first: int, end: int) -> NDArray[np.int64]:
    """The edges with `points` buckets from value `first` to before `end`, and few around them."""
    n = int(edges[-1])
    if end <= first or n <= points:
        return edges
    around = bucket_edges(n, max(1, points // AROUND))
    return np.unique(
        np.concatenate([around[(around <= first) | (around >= end)], first + bucket_edges(end - first, points)])
    )


def _extremes(values: Floats, edges: NDArray[np.int64]) -> tuple[Floats, Floats]:
    if not len(values):
        return values, values
    starts = edges[:-1]
    return np.fmin.reduceat(values, starts), np.fmax.reduceat(values, starts)


def _places(columns: Columns, steps: NDArray[np.int64]) -> dict[str, list[float | None]]:
    """Epoch, wall time and tokens seen at each step, for the other x axes."""
    order = np.argsort(columns.step, kind="stable")
    at = np.searchsorted(columns.step[order], steps, side="right") - 1
    rows = order[at] if len(order) else order
    epochs = [None if math.isnan(value) else round(value, 4) for value in columns.epoch[rows].tolist()]
    times = [round(value, 3) for value in columns.time[rows].tolist()]
    return {"epoch": epochs, "time": times, "tokens": _tokens(columns, steps)}


def _tokens(columns: Columns, steps: NDArray[np.int64]) -> list[float | None]:
    """Tokens seen up to each step; null before the first count, and where it is none."""
    held = columns.series.get("tokens_seen")
    if held is None:
        return [None] * len(steps)
    order = np.argsort(columns.step[held.rows], kind="stable")
    at = np.searchsorted(columns.step[held.rows][order], steps, side="right") - 1
    counts = held.values[order][at].tolist()
    return [
        count if place >= 0 and math.isfinite(count) else None for place, count in zip(at.tolist(), counts, strict=True)
    ]


def as_csv(job: Job, names: list[str] | None = None, weight: float = 0.0) -> Iterator[str]:
    """Every raw point that counts, a line each: step, epoch, time, then one column a series.

    With a weight each series that is ever smoothed has its smooth column behind it, named after the algorithm.
    """
    columns = read_history(job).columns
    wanted = {name: each for name, each in columns.series.items() if names is None or name in names}
    filled = {name: _full_column(len(columns), each.rows, each.values) for name, each in wanted.items()}
    if weight:
        for name, each in wanted.items():
            if not name.startswith(NEVER_SMOOTHED):
                smooth = smoothed(each.values.astype(np.float64), weight)[0]
                filled[f"{name} (debiased exponential average, weight {weight:g})"] = _full_column(
                    len(columns), each.rows, smooth
                )
    table = np.stack([filled[name] for name in sorted(filled)], axis=1) if filled else np.empty((len(columns), 0))
    yield _line(["step", "epoch", "time", *map(_as_text, sorted(filled))])
    for step, epoch, time, row in zip(columns.step, columns.epoch, columns.time, table, strict=True):
        yield _line([int(step), float(epoch), float(time), *["" if math.isnan(v) else f"{v:.7g}" for v in row]])


def _as_text(name: str) -> str:
    """A series' name is the trainer's to choose: a spreadsheet must not take it for a formula."""
    return f"'{name}" if name.startswith(("=", "+", "-", "@", "\t", "\r")) else name


def _full_column(length: int, rows: NDArray[np.int64], values: NDArray[Any]) -> Floats:
    column = np.full(length, np.nan)
    column[rows] = values
    return column


def _line(cells: list[Any]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow(cells)
    return buffer.getvalue()
