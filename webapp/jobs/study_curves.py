"""Curves of many jobs side by side: overlays, the best so far over time and tokens, bands over seeds.

`meta.jobs` of a trace names the jobs that it shows, by which the page lights one of them on all figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from webapp.jobs import metrics
from webapp.jobs.comparing import Group, less_is_better, spread
from webapp.jobs.models import Job
from webapp.jobs.study_figures import look_of, plain

CURVE_POINTS = 250
SPENT = {"time": "Minutes since the start", "tokens": "Tokens", "kwh": "kWh since the start"}
LABELLED_AT_MOST = 4
"""Lines that have their name at their end; more would cover one another."""
CAP = 10
LINE_SHARE = 0.07
"""Of the axis that a line of text takes."""


@dataclass(frozen=True)
class Course:
    """A job's history for a comparison, reduced to a few hundred points."""

    group: Group
    job: Job
    history: dict[str, Any]
    started_at: float
    """Of its clock and ours the earlier word: a worker's may be behind, and nothing comes before the start."""

    def xy(self, series: str, part: str, axis: str) -> tuple[list[float], list[float]]:
        """Places and values of one series; what is missing is left out."""
        values = self.history[part].get(series, [])
        places = self._kwh() if axis == "kwh" else self.history[axis]
        pairs = [
            (self._place(place, axis), value)
            for place, value in zip(places, values, strict=False)
            if value is not None and place is not None
        ]
        return [x for x, _ in pairs], [y for _, y in pairs]

    def _kwh(self) -> list[float | None]:
        """Energy up to each place, from the power's samples over time; nothing where no power was told."""
        power = self.history["series"].get("power_watts", [])
        watts, before = 0.0, self.started_at
        spent, told = 0.0, list[float | None]()
        for time, value in zip(self.history["time"], power, strict=False):
            watts = value if value is not None else watts
            spent += watts * max(0.0, time - before) / 3.6e6
            before = time
            told.append(spent)
        return told

    def _place(self, place: float, axis: str) -> float:
        return (place - self.started_at) / 60 if axis == "time" else place


def courses_of(groups: Sequence[Group]) -> list[Course]:
    """Every job that has begun, with its history."""
    return [_course(group, job) for group in groups for job in group.jobs if job.started_at]


def _course(group: Group, job: Job) -> Course:
    history = metrics.history(job, None, CURVE_POINTS, 0.6)
    told = [time for time in history["time"][:1] if time is not None]
    return Course(group, job, history, min([job.started_at.timestamp() if job.started_at else 0.0, *told]))


def overlay(courses: Sequence[Course], series: str, title: str, smooth: bool) -> dict[str, Any] | None:
    """One series of all jobs: colour for the group; repeats of a group are drawn alike."""
    figure = go.Figure()
    shown: set[int] = set()
    for course in courses:
        x, y = course.xy(series, "smooth" if smooth else "series", "step")
        if len(x) < 2:
            continue
        look = look_of(course.group.slot)
        figure.add_scatter(
            uid=f"{series}-job-{course.job.pk}",
            name=course.group.title,
            legendgroup=str(course.group.slot),
            showlegend=course.group.slot not in shown,
            x=x,
            y=y,
            mode="lines" if smooth and course.job.ended else "lines+markers",
            line={"width": 2, "dash": look["dash"]},
            marker=_marks(course.job, len(x), 0 if smooth else 5),
            hovertemplate=f"{course.job.name}: %{{y:.4~g}} at %{{x:,}}<extra></extra>",
            meta={"colour": look["colour"], "jobs": [course.job.pk]},
        )
        shown.add(course.group.slot)
    if not shown:
        return None
    figure.update_xaxes(title={"text": "Step", "font": {"size": 12}})
    figure.update_yaxes(title={"text": title, "font": {"size": 12}})
    return _named_at_ends(figure) if len(shown) <= LABELLED_AT_MOST else plain(figure)


def _marks(job: Job, points: int, size: int) -> dict[str, Any]:
    """Of one size; the line of a job that goes on ends in an open cap."""
    if job.ended:
        return {"size": size}
    before = points - 1
    symbols = ["circle"] * before + ["circle-open"]
    return {"size": [size] * before + [CAP], "symbol": symbols, "opacity": [min(1, size)] * before + [1]}


def _named_at_ends(figure: go.Figure) -> dict[str, Any]:
    """The name of each line where it ends; where two would lie on one another, the later one goes."""
    ends = sorted((trace.y[-1], trace.x[-1], trace.name) for trace in figure.data if trace.showlegend)
    low, high = min(min(trace.y) for trace in figure.data), max(max(trace.y) for trace in figure.data)
    last = float("-inf")
    for y, x, name in ends:
        if y - last >= LINE_SHARE * (high - low):
            figure.add_annotation(x=x, y=y, text=name, xanchor="left", xshift=6, showarrow=False, font={"size": 11})
            last = y
    drawn = plain(figure)
    drawn["layout"]["margin"] = {**drawn["layout"]["margin"], "r": 110}
    return drawn


@dataclass(frozen=True)
class Line:
    """A job in the legend beside the overlay of losses."""

    job: Job
    group: Group
    look: dict[str, Any]
    last: float | None


def legend(courses: Sequence[Course], series: str) -> list[Line]:
    """A row for each job, the lowest last value of the smoothed series first; the page's script sorts as one points."""
    ends = [(course, course.xy(series, "smooth", "step")[1][-1:]) for course in courses]
    lines = [Line(each.job, each.group, look_of(each.group.slot), next(iter(end), None)) for each, end in ends]
    return sorted(lines, key=lambda line: (line.last is None, line.last or 0.0))


def best_so_far(courses: Sequence[Course], series: str, axis: str) -> dict[str, Any] | None:
    """Which got there first: the best score so far over minutes or tokens."""
    less = less_is_better(series)
    figure = go.Figure()
    shown: set[int] = set()
    for course in courses:
        x, y = course.xy(series, "series", axis)
        if not x:
            continue
        best = np.minimum.accumulate(y) if less else np.maximum.accumulate(y)
        look = look_of(course.group.slot)
        figure.add_scatter(
            uid=f"best-{axis}-job-{course.job.pk}",
            name=course.group.title,
            legendgroup=str(course.group.slot),
            showlegend=course.group.slot not in shown,
            x=x,
            y=best.tolist(),
            mode="lines+markers",
            line={"width": 2, "shape": "hv", "dash": look["dash"]},
            marker={"size": 5},
            hovertemplate=f"{course.job.name}: %{{y:.4~g}} at %{{x:.4~g}}<extra></extra>",
            meta={"colour": look["colour"], "jobs": [course.job.pk]},
        )
        shown.add(course.group.slot)
    if not shown:
        return None
    figure.update_xaxes(title={"text": SPENT[axis], "font": {"size": 12}})
    figure.update_yaxes(title={"text": f"best {series.replace('_', ' ')} so far", "font": {"size": 12}})
    return plain(figure)


def bands(courses: Sequence[Course], series: str) -> dict[str, Any] | None:
    """Mean and band of groups with at least two repeats, at the steps that all of them have."""
    figure = go.Figure()
    by_slot: dict[int, list[Course]] = {}
    for course in courses:
        by_slot.setdefault(course.group.slot, []).append(course)
    for repeats in by_slot.values():
        lines = [dict(zip(*course.xy(series, "series", "step"), strict=True)) for course in repeats]
        steps = sorted(set.intersection(*(set(line) for line in lines)))
        if len(lines) >= 2 and len(steps) >= 2:
            _band(figure, repeats, steps, np.array([[line[step] for step in steps] for line in lines]))
    if not figure.data:
        return None
    figure.update_xaxes(title={"text": "Step", "font": {"size": 12}})
    figure.update_yaxes(title={"text": series.replace("_", " "), "font": {"size": 12}})
    return plain(figure)


def _band(figure: go.Figure, repeats: Sequence[Course], steps: list[float], values: Any) -> None:
    group, jobs = repeats[0].group, [course.job.pk for course in repeats]
    slot, colour = group.slot, look_of(group.slot)["colour"]
    spreads = [spread(column) for column in values.T.tolist()]
    high, low = [each.high for each in spreads if each], [each.low for each in spreads if each]
    around = {"x": [*steps, *reversed(steps)], "y": [*high, *low[::-1]]}
    figure.add_scatter(
        uid=f"band-{slot}",
        fill="toself",
        line={"width": 0},
        hoverinfo="skip",
        showlegend=False,
        opacity=0.2,
        mode="lines",
        meta={"colour": colour, "fill": True, "jobs": jobs},
        **around,
    )
    figure.add_scatter(
        uid=f"mean-{slot}",
        name=f"{group.title}, n = {len(values)}",
        x=steps,
        y=values.mean(axis=0).tolist(),
        mode="lines+markers",
        line={"width": 2},
        marker={"size": 5},
        meta={"colour": colour, "jobs": jobs},
    )
