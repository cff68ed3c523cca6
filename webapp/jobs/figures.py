"""A figure of the job page, built with plotly: lines, axes and formats. Points and colours come in the browser.

A figure travels as JSON without data; `meta` of a trace names the series it draws, which part of it (raw or smooth)
and the colour token, so one figure serves both themes and every update.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import plotly.graph_objects as go

from webapp.jobs.models import Job

SMOOTHING = 0.6
CONFIG = {
    "displayModeBar": False,
    "displaylogo": False,
    "showSendToCloud": False,
    "plotlyServerURL": "",
    "scrollZoom": False,
    "doubleClick": "reset",
    "responsive": False,
}
"""Of every figure: no toolbar, nothing sent anywhere."""
GIB = 1 / 1024**3
BELOW, ABOVE = (0.0, 0.22), (0.34, 1.0)
SAID_BESIDE = ("band", "bars", "facts", "use", "also")
BY_STEP = "by step"
"""Name of shapes and words that stand at steps: over other x axes they are left out."""


@dataclass(frozen=True)
class Line:
    """One series in a chart."""

    series: str
    label: str
    colour: int = 1
    """Slot of the trace palette."""
    smooth: bool = False
    """Smoothed line in front, raw behind it."""
    dashed: bool = False
    markers: bool = False
    rows: int = 0
    """A share counted on so many rows: each point gets the interval that they allow."""
    axis: str = "y"
    """Its y axis: the chart's own, or one of `Chart.axes`."""
    unit: str | None = None
    """Where it is not the chart's."""
    number: str = ""
    """Format of its values, where it is not the chart's."""


@dataclass(frozen=True)
class Axis:
    """Another y axis: to the right of the chart's own, or a row of its own below."""

    name: str
    """As traces call it: y2, y3."""
    tick_format: str
    right: bool = False
    below: bool = False


@dataclass(frozen=True)
class Reference:
    """A dashed line to hold a chart against, in its unit, such as the device's memory."""

    value: float
    words: str = ""


@dataclass(frozen=True)
class Chart:
    """One card: its title, unit, lines and what to look for."""

    name: str
    title: str
    unit: str
    help: str
    lines: tuple[Line, ...]
    tick_format: str = ".3~g"
    scale: float = 1.0
    """Factor from the stored value to the unit."""
    from_zero: bool = False
    wide: bool = False
    waiting: str = "Training starts after the model is loaded. First point expected at step 1."
    absent: dict[str, str] | None = None
    """Why this job never has such points, with `url` and `label` of the way to one that has."""
    log_url: str = ""
    """Where the job says what it is doing, for whoever waits for the first point."""
    references: tuple[Reference, ...] = ()
    band: tuple[float, float] | None = None
    """A shaded range, in the unit, such as the estimate made before the start."""
    planned: tuple[tuple[float, float], ...] = ()
    """(step, value) of what is to come; drawn dotted, and the chart then spans all of it."""
    landmarks: tuple[tuple[int, str], ...] = ()
    """Steps with a word each, such as the end of the warm-up."""
    limit: tuple[float, str] | None = None
    """A value and what is said of the share of steps above it."""
    exponential: str = ""
    """What e to the values is called, where that may be looked at instead."""
    gap: bool = False
    """The area between train and eval may be shaded."""
    next: str = ""
    """When another point comes after a first one that stands alone."""
    axes: tuple[Axis, ...] = ()
    bars: bool = False
    """Stacked bars of steps' means instead of lines; the card is left away where nothing of it is logged."""
    facts: str = ""
    """What is worked out of the points and said above the plot: throughput, memory or disk (static/js/facts.js)."""
    use: float | None = None
    """Times tokens a second: the share of the devices' peak."""
    also: tuple[str, ...] = ()
    """Series that the facts need besides those drawn."""

    @property
    def script_id(self) -> str:
        return f"figure-{self.name}"

    def drawn(self) -> dict[str, Any]:
        """What the browser gets: plotly's data, layout and config, and how to fill them."""
        own = ("waiting", "absent", "limit", "log_url", "exponential", "next", *SAID_BESIDE)
        names = ("name", "title", "unit", "scale", "wide", *own)
        span = [0, self.planned[-1][0]] if self.planned else None
        # What is said beside the figure is a job's own; without it equal charts are drawn once.
        texts: dict[str, Any] = {"log_url": "", "waiting": "", "help": "", "exponential": "", "next": "", "facts": ""}
        bare = replace(self, absent=None, limit=None, use=None, also=(), **texts)
        return {**_figure(bare), **{name: getattr(self, name) for name in names}, "span": span}

    @property
    def smooth_series(self) -> str:
        """The first series that is smoothed; empty where none is."""
        return next((line.series for line in self.lines if line.smooth), "")


def with_log(charts: list[Chart], job: Job) -> list[Chart]:
    """The first says where to look while no point comes; said by all, it would only be noise."""
    return [replace(charts[0], log_url=f"{job.get_absolute_url()}?tab=log#log-end"), *charts[1:]]


def ended_without(charts: list[Chart]) -> list[Chart]:
    """What is not there by now does not come any more."""
    return [replace(chart, waiting="The job logged no such point.") for chart in charts]


# ---- From a chart to plotly's JSON ---------------------------------------------------------------


@lru_cache(maxsize=512)
def _figure(chart: Chart) -> dict[str, Any]:
    """Read, never changed: many jobs have the same one."""
    figure = go.Figure(data=[trace for line in chart.lines for trace in _traces(chart, line)])
    figure.layout.template = None
    figure.update_layout(
        margin={"l": 52, "r": 12, "t": 8, "b": 26},
        showlegend=False,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        hovermode="x unified",
        font={"size": 12},
        xaxis=_axis(tickformat=",~d"),
        yaxis=_axis(tickformat=chart.tick_format, fixedrange=True, rangemode="tozero" if chart.from_zero else "normal"),
    )
    if chart.bars:
        figure.update_layout(barmode="stack", bargap=0)
    for axis in chart.axes:
        _add_axis(figure, axis)
    if named := [each.value for each in chart.references if each.words]:
        figure.update_yaxes(autorangeoptions={"include": named})
    if chart.planned:
        path = "L".join(f"{step} {value:.4g}" for step, value in chart.planned)
        dotted = {"width": 1.5, "dash": "dot"}
        figure.add_shape(type="path", path=f"M{path}", line=dotted, layer="below", name=BY_STEP)
        figure.update_yaxes(autorangeoptions={"include": [max(value for _, value in chart.planned)]})
    for step, words in chart.landmarks:
        place = {"x": step, "y": 0.02, "yref": "paper", "yanchor": "bottom", "xanchor": "left"}
        figure.add_annotation(text=words, showarrow=False, name=BY_STEP, **place)
        figure.add_shape(type="line", x0=step, x1=step, y0=0, y1=1, yref="paper", layer="below", name=BY_STEP)
        figure.layout.shapes[-1].line = {"width": 1, "dash": "dot"}
    for reference in chart.references:
        said = {"annotation_text": reference.words, "annotation_position": "top left"} if reference.words else {}
        figure.add_hline(y=reference.value, line={"width": 1, "dash": "dash"}, layer="below", **said)
    if chart.band is not None:
        shade = {"fillcolor": "rgba(128, 128, 128, 0.15)", "line": {"width": 0}, "layer": "below"}
        figure.add_hrect(y0=chart.band[0], y1=chart.band[1], **shade)
    plain = figure.to_plotly_json()
    plain["layout"].pop("template", None)
    return {"data": plain["data"], "layout": plain["layout"], "config": CONFIG}


def _add_axis(figure: go.Figure, axis: Axis) -> None:
    """The chart's own axis makes room for a row below, and the x axis goes down with it."""
    plain = _axis(tickformat=axis.tick_format, fixedrange=True, rangemode="tozero", nticks=4 if axis.right else 3)
    place = (
        {"domain": BELOW} if axis.below else {"overlaying": "y", "side": "right", "showgrid": False, "tickmode": "auto"}
    )
    figure.update_layout({f"yaxis{axis.name[1:]}": {**plain, "anchor": "x", **place}})
    if axis.below:
        figure.update_layout(yaxis_domain=ABOVE, xaxis_anchor=axis.name)


def _axis(**more: Any) -> dict[str, Any]:
    ticks = {"ticks": "outside", "ticklen": 4, "tickfont": {"size": 11}}
    return {"zeroline": False, "automargin": True, "showline": True, **ticks, **more}


def _traces(chart: Chart, line: Line) -> list[go.Scatter | go.Bar]:
    """A smoothed line has its raw points behind it, thin and without hover."""
    if chart.bars:
        told = {"series": line.series, "part": "bar", "colour": f"--trace-{line.colour}"}
        return [go.Bar(uid=f"{line.series}-bar", name=line.label, meta=told)]
    if not line.smooth:
        return [_trace(chart, line, "raw", width=2)]
    behind = _trace(chart, line, "raw", width=1).update(opacity=0.28, hoverinfo="skip", hovertemplate=None)
    return [behind, _trace(chart, line, "smooth", width=2)]


def _trace(chart: Chart, line: Line, part: str, width: int) -> go.Scatter:
    usual = ".2e" if chart.name == "learning_rate" else ".4~g" if chart.tick_format != ",~d" else ",.0f"
    number = line.number or (".4~g" if line.axis != "y" else usual)
    unit = chart.unit if line.unit is None else line.unit
    return go.Scatter(
        uid=f"{line.series}-{part}",
        name=line.label,
        mode="lines+markers" if line.markers else "lines",
        line={"width": width, "dash": "dash" if line.dashed else "solid"},
        marker={"size": 6} if line.markers else None,
        connectgaps=False,
        hovertemplate=f"%{{y:{number}}} {unit}".rstrip(),
        yaxis=None if line.axis == "y" else line.axis,
        meta={"series": line.series, "part": part, "colour": f"--trace-{line.colour}"}
        | ({"rows": line.rows} if line.rows else {}),
    )
