"""Figures of a study, complete with their points: fronts, scores, sizes on disk. Curves are in study_curves.py.

They travel as JSON; `meta.colour` of a trace names a colour token, so that one figure serves both themes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from webapp.accounts.templatetags.numbers import bytes_size, percent
from webapp.jobs.comparing import Group, Point, Purpose, less_is_better, placed
from webapp.jobs.efficiency import SHARE, full_of
from webapp.jobs.figures import CONFIG, GIB

SHAPES = {"reparameterization": "circle", "addition": "square", "specification": "diamond", "full": "x"}
FAMILY_SLOTS = {"reparameterization": 1, "addition": 2, "specification": 7, "full": 7}
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
COLOURS = 8
BUBBLE_PX = 34
LABELS_AT_MOST = 12
AXIS = "--axis"


@dataclass(frozen=True)
class Cost:
    """What a front is drawn against."""

    key: str
    title: str
    of: Callable[[Group], float | None]
    purpose: Purpose
    log: bool = True
    scale: float = 1.0
    format: Callable[[Any], str] = str


COSTS = (
    Cost("trained", "Trained parameters, % of all (log)", lambda group: group.trained_percent, "score", format=percent),
    Cost("artifact", "Delta on disk, MiB (log)", lambda group: group.artifact_bytes, "score", scale=1 / 1024**2),
    Cost("memory", "Peak memory, GiB", lambda group: group.memory_bytes, "memory", log=False, scale=GIB),
    Cost("time", "Time, minutes", lambda group: group.seconds, "time", log=False, scale=1 / 60),
)


def look_of(slot: int) -> dict[str, Any]:
    """Colour and dash of a slot: after eight colours the next dash begins."""
    return {"colour": f"--trace-{(slot - 1) % COLOURS + 1}", "dash": DASHES[(slot - 1) // COLOURS % len(DASHES)]}


def plain(figure: go.Figure) -> dict[str, Any]:
    figure.layout.template = None
    figure.update_layout(
        margin={"l": 56, "r": 16, "t": 24, "b": 44},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"size": 12},
        hovermode="closest",
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "itemsizing": "constant"},
    )
    ticks = {"ticks": "outside", "ticklen": 4, "tickfont": {"size": 11}, "zeroline": False, "automargin": True}
    figure.update_xaxes(showline=True, **ticks)
    figure.update_yaxes(showline=True, **ticks)
    plain = figure.to_plotly_json()
    plain["layout"].pop("template", None)
    return {"data": _numbers(plain["data"]), "layout": plain["layout"], "config": CONFIG}


def _numbers(value: Any) -> Any:
    """Arrays as lists: the page reads them."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {key: _numbers(each) for key, each in value.items()}
    return [_numbers(each) for each in value] if isinstance(value, (list, tuple)) else value


# ---- The front -----------------------------------------------------------------------------------


def front(groups: Sequence[Group], cost: Cost) -> dict[str, Any] | None:
    """Score against cost with the front as a step line; None without two groups that have both numbers."""
    metric = next((group.metric for group in groups if group.scores), "")
    less = less_is_better(metric)
    points = placed(groups, cost.of, less)
    if len(points) < 2:
        return None
    figure = go.Figure()
    on_front = [point for point in points if point.on_front]
    figure.add_scatter(
        uid="front",
        name="front",
        x=[point.x * cost.scale for point in on_front],
        y=[point.score.mean for point in on_front],
        mode="lines",
        line={"shape": "hv", "dash": "dot", "width": 1.5},
        hoverinfo="skip",
        meta={"colour": AXIS},
    )
    large = cost.key == "trained"  # the first panel alone shows memory as area, and the legend
    largest = max((point.group.memory_bytes or 0 for point in points), default=0) if large else 0
    for family in SHAPES:
        own = [point for point in points if point.group.family == family]
        if own:
            figure.add_trace(_family(family, own, points, cost, largest))
    _full_line(figure, groups, less)
    figure.update_xaxes(title={"text": cost.title, "font": {"size": 12}}, type="log" if cost.log else "linear")
    if cost.log:
        figure.update_xaxes(dtick=1)
    figure.update_yaxes(title={"text": metric.replace("_", " "), "font": {"size": 12}})
    return plain(figure.update_layout(showlegend=large))


def _family(family: str, own: list[Point], all_points: list[Point], cost: Cost, largest: float) -> go.Scatter:
    symbols = [SHAPES[family] + ("-open" if not each.on_front and not each.separable else "") for each in own]
    sizes = [
        max(8.0, BUBBLE_PX * ((each.group.memory_bytes or 0) / largest) ** 0.5) if largest else 14.0 for each in own
    ]
    labelled = len(all_points) <= LABELS_AT_MOST
    above = {id(point): place % 2 == 0 for place, point in enumerate(all_points)}
    return go.Scatter(
        uid=f"front-{family}",
        name=family.replace("reparameterization", "reparameterisation"),
        x=[each.x * cost.scale for each in own],
        y=[each.score.mean for each in own],
        mode="markers+text" if labelled else "markers",
        text=[each.group.title for each in own],
        textposition=["top center" if above[id(each)] else "bottom center" for each in own],
        textfont={"size": 11},
        marker={"symbol": symbols, "size": sizes, "opacity": [_opacity(each) for each in own], "line": {"width": 1}},
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [each.score.high - each.score.mean for each in own],
            "arrayminus": [each.score.mean - each.score.low for each in own],
            "thickness": 1.5,
        },
        customdata=[_told(each) for each in own],
        hovertemplate="<b>%{text}</b><br>%{customdata}<extra></extra>",
        cliponaxis=False,
        meta={"colour": f"--trace-{FAMILY_SLOTS[family]}"},
    )


def _opacity(point: Point) -> float:
    return 1.0 if point.on_front or not point.separable else 0.45


def _told(point: Point) -> str:
    group, score = point.group, point.score
    where = "on the front" if point.on_front else f"dominated by {point.dominated_by}"
    if not point.on_front and not point.separable:
        where = "not separable from the front"
    seeds = f"{score.mean:.4g} ({score.low:.4g} to {score.high:.4g}), n = {score.n}"
    costs = f"{percent(group.trained_percent)} trained, {bytes_size(group.memory_bytes)}"
    return f"{seeds}<br>{costs}, delta {bytes_size(group.artifact_bytes)}<br>{where}"


def _full_line(figure: go.Figure, groups: Sequence[Group], less: bool) -> None:
    """At 90 % of the score of full fine-tuning; only where more is better."""
    full = full_of(groups)
    if full is None or full.scores is None or less:
        return
    words = "90 % of full fine-tuning"
    figure.add_hline(
        y=SHARE * full.scores.mean,
        line={"width": 1, "dash": "dash"},
        annotation={"text": words, "xanchor": "left", "x": 0, "font": {"size": 11}},
        layer="below",
    )


# ---- Scores, sizes -------------------------------------------------------------------------------


def scores(groups: Sequence[Group], baseline: Group | None) -> dict[str, Any] | None:
    """Dots with intervals, best on top; dots, not bars: the axis may start off zero."""
    held = [(group, group.scores) for group in groups if group.scores]
    if not held:
        return None
    less = less_is_better(held[0][0].metric)
    ordered = sorted(held, key=lambda pair: pair[1].mean, reverse=less)
    figure = go.Figure()
    for group, score in ordered:
        look = look_of(group.slot)
        figure.add_scatter(
            uid=f"score-{group.slot}",
            x=[score.mean],
            y=[group.title],
            mode="markers",
            marker={"size": 10},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [score.high - score.mean],
                "arrayminus": [score.mean - score.low],
                "thickness": 1.5,
            },
            hovertemplate=f"{group.title}: %{{x:.4~g}}, n = {score.n}<extra></extra>",
            meta={"colour": look["colour"]},
        )
    if baseline is not None and baseline.scores:
        figure.add_vline(x=baseline.scores.mean, line={"width": 1, "dash": "dash"}, layer="below")
    figure.update_xaxes(title={"text": held[0][0].metric.replace("_", " "), "font": {"size": 12}})
    return plain(figure.update_layout(showlegend=False))


def sizes(groups: Sequence[Group], full_bytes: int | None) -> dict[str, Any] | None:
    """Real bytes on disk, logarithmic, with the full checkpoint as reference."""
    held = sorted(
        ((group, group.artifact_bytes) for group in groups if group.artifact_bytes), key=lambda pair: pair[1] or 0
    )
    if not held:
        return None
    figure = go.Figure()
    for group, size in held:
        of_full = f", 1/{full_bytes / size:,.0f} of full" if full_bytes and size else ""
        figure.add_scatter(
            uid=f"size-{group.slot}",
            x=[size],
            y=[group.title],
            mode="markers+text",
            marker={"size": 10},
            text=[f"{bytes_size(size)}{of_full}"],
            textposition="middle right",
            textfont={"size": 11},
            cliponaxis=False,
            hoverinfo="skip",
            meta={"colour": look_of(group.slot)["colour"]},
        )
    ends = [held[0][1] or 1, max(full_bytes or 0, held[-1][1] or 1)]
    if full_bytes:
        figure.add_vline(x=full_bytes, line={"width": 1, "dash": "dash"}, layer="below")
    marks = [1024**power * times for power in (1, 2, 3) for times in (1, 10, 100)]
    figure.update_xaxes(type="log", tickvals=marks, ticktext=[bytes_size(mark) for mark in marks])
    figure.update_xaxes(range=[float(np.log10(ends[0] / 2)), float(np.log10(ends[1] * 6))])
    return plain(figure.update_layout(showlegend=False))
