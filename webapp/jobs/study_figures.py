"""Figures of a study, complete with their points: scores and sizes on disk. Fronts are in fronts.py.

They travel as JSON; `meta.colour` of a trace names a colour token, so that one figure serves both themes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from webapp.accounts.templatetags.numbers import bytes_size
from webapp.jobs.comparing import Group, less_is_better
from webapp.jobs.figures import CONFIG

DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
COLOURS = 8
LAYOUT = {
    "margin": {"l": 56, "r": 16, "t": 24, "b": 44},
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "font": {"size": 12},
    "hovermode": "closest",
}
LEGEND = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "itemsizing": "constant"}
AXIS = {
    "showline": True,
    "ticks": "outside",
    "ticklen": 4,
    "tickfont": {"size": 11},
    "zeroline": False,
    "automargin": True,
}


def look_of(slot: int) -> dict[str, Any]:
    """Colour and dash of a slot: after eight colours the next dash begins."""
    return {"colour": f"--trace-{(slot - 1) % COLOURS + 1}", "dash": DASHES[(slot - 1) // COLOURS % len(DASHES)]}


def plain(figure: go.Figure) -> dict[str, Any]:
    """As JSON in the house's look, merged in as plain dictionaries: plotly's own update takes many times as long."""
    figure.layout.template = None
    drawn = figure.to_plotly_json()
    layout = drawn["layout"]
    layout.pop("template", None)
    own = {name: value for name, value in layout.items() if not name.startswith(("xaxis", "yaxis"))}
    axes = {name: _axis(layout.get(name, {})) for name in ("xaxis", "yaxis")}
    legend = {**LEGEND, **layout.get("legend", {})}
    return {"data": _numbers(drawn["data"]), "layout": {**LAYOUT, **own, **axes, "legend": legend}, "config": CONFIG}


def _axis(own: dict[str, Any]) -> dict[str, Any]:
    title = {**own.get("title", {}), "font": {"size": 12}}
    axis: dict[str, Any] = _numbers({**AXIS, **own, "title": title})
    return axis


def _numbers(value: Any) -> Any:
    """Arrays as lists: the page reads them."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {key: _numbers(each) for key, each in value.items()}
    return [_numbers(each) for each in value] if isinstance(value, (list, tuple)) else value


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
    ends = [held[0][1] or 1, max(full_bytes or 0, held[-1][1] or 1)]
    middle = (ends[0] * ends[1]) ** 0.5
    for group, size in held:
        of_full = f", 1/{full_bytes / size:,.0f} of full" if full_bytes and size else ""
        figure.add_scatter(
            uid=f"size-{group.slot}",
            x=[size],
            y=[group.title],
            mode="markers+text",
            marker={"size": 10},
            text=[f"{bytes_size(size)}{of_full}"],
            textposition="middle left" if len(held) > 1 and (size or 0) > middle else "middle right",
            textfont={"size": 11},
            cliponaxis=False,
            hoverinfo="skip",
            meta={"colour": look_of(group.slot)["colour"]},
        )
    if full_bytes:
        figure.add_vline(x=full_bytes, line={"width": 1, "dash": "dash"}, layer="below")
    marks = [1024**power * times for power in (1, 2, 3) for times in (1, 10, 100)]
    figure.update_xaxes(type="log", tickvals=marks, ticktext=[bytes_size(mark) for mark in marks])
    figure.update_xaxes(range=[float(np.log10(ends[0] / 4)), float(np.log10(ends[1] * 6))])
    return plain(figure.update_layout(showlegend=False))
