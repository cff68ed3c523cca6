"""Curves of many jobs side by side: overlays, the best so far over time and tokens, bands over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from webapp.jobs import metrics
from webapp.jobs.comparing import Group, less_is_better, spread
from webapp.jobs.study_figures import look_of, plain

CURVE_POINTS = 250


@dataclass(frozen=True)
class Course:
    """A job's history for a comparison, reduced to a few hundred points."""

    group: Group
    name: str
    history: dict[str, Any]
    started_at: float

    def xy(self, series: str, part: str, axis: str) -> tuple[list[float], list[float]]:
        """Places and values of one series; what is missing is left out."""
        values = self.history[part].get(series, [])
        places = self.history["step" if axis == "step" else axis]
        pairs = [
            (self._place(place, axis), value)
            for place, value in zip(places, values, strict=False)
            if value is not None and place is not None
        ]
        return [x for x, _ in pairs], [y for _, y in pairs]

    def _place(self, place: float, axis: str) -> float:
        return (place - self.started_at) / 60 if axis == "time" else place


def courses_of(groups: Sequence[Group]) -> list[Course]:
    """Every job that has begun, with its history."""
    return [
        Course(group, job.name, metrics.history(job, None, CURVE_POINTS, 0.6), job.started_at.timestamp())
        for group in groups
        for job in group.jobs
        if job.started_at
    ]


def overlay(courses: Sequence[Course], series: str, title: str, smooth: bool) -> dict[str, Any] | None:
    """One series of all jobs: colour for the group; repeats of a group are drawn alike."""
    figure = go.Figure()
    shown: set[int] = set()
    for place, course in enumerate(courses):
        x, y = course.xy(series, "smooth" if smooth else "series", "step")
        if len(x) < 2:
            continue
        look = look_of(course.group.slot)
        figure.add_scatter(
            uid=f"{series}-{place}",
            name=course.group.title,
            legendgroup=str(course.group.slot),
            showlegend=course.group.slot not in shown,
            x=x,
            y=y,
            mode="lines" if smooth else "lines+markers",
            line={"width": 2, "dash": look["dash"]},
            marker={"size": 5},
            hovertemplate=f"{course.name}: %{{y:.4~g}} at %{{x:,}}<extra></extra>",
            meta={"colour": look["colour"]},
        )
        shown.add(course.group.slot)
    if not shown:
        return None
    figure.update_xaxes(title={"text": "Step", "font": {"size": 12}})
    figure.update_yaxes(title={"text": title, "font": {"size": 12}})
    return plain(figure)


def best_so_far(courses: Sequence[Course], series: str, axis: str) -> dict[str, Any] | None:
    """Which got there first: the best score so far over minutes or tokens."""
    less = less_is_better(series)
    figure = go.Figure()
    shown: set[int] = set()
    for place, course in enumerate(courses):
        x, y = course.xy(series, "series", axis)
        if not x:
            continue
        best = np.minimum.accumulate(y) if less else np.maximum.accumulate(y)
        look = look_of(course.group.slot)
        figure.add_scatter(
            uid=f"best-{axis}-{place}",
            name=course.group.title,
            legendgroup=str(course.group.slot),
            showlegend=course.group.slot not in shown,
            x=x,
            y=best.tolist(),
            mode="lines+markers",
            line={"width": 2, "shape": "hv", "dash": look["dash"]},
            marker={"size": 5},
            hovertemplate=f"{course.name}: %{{y:.4~g}} at %{{x:.4~g}}<extra></extra>",
            meta={"colour": look["colour"]},
        )
        shown.add(course.group.slot)
    if not shown:
        return None
    title = "Minutes since the start" if axis == "time" else "Tokens"
    figure.update_xaxes(title={"text": title, "font": {"size": 12}})
    figure.update_yaxes(title={"text": f"best {series.replace('_', ' ')} so far", "font": {"size": 12}})
    return plain(figure)


def bands(courses: Sequence[Course], series: str) -> dict[str, Any] | None:
    """Mean and band of groups with at least two repeats, at the steps that all of them have."""
    figure = go.Figure()
    by_slot: dict[int, list[Course]] = {}
    for course in courses:
        by_slot.setdefault(course.group.slot, []).append(course)
    for slot, repeats in by_slot.items():
        lines = [dict(zip(*course.xy(series, "series", "step"), strict=True)) for course in repeats]
        steps = sorted(set.intersection(*(set(line) for line in lines)))
        if len(lines) >= 2 and len(steps) >= 2:
            _band(figure, repeats[0].group, slot, steps, np.array([[line[step] for step in steps] for line in lines]))
    if not figure.data:
        return None
    figure.update_xaxes(title={"text": "Step", "font": {"size": 12}})
    figure.update_yaxes(title={"text": series.replace("_", " "), "font": {"size": 12}})
    return plain(figure)


def _band(figure: go.Figure, group: Group, slot: int, steps: list[float], values: Any) -> None:
    colour = look_of(slot)["colour"]
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
        meta={"colour": colour, "fill": True},
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
        meta={"colour": colour},
    )
