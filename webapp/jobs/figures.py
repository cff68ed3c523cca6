"""Figures of the job page, built with plotly: which lines, axes and formats. Points and colours come in the browser.

A figure travels as JSON without data; `meta` of a trace names the series it draws, which part of it (raw or smooth)
and the colour token, so one figure serves both themes and every update.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
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
    empty: str = "First point expected at step 1, after the base model is loaded."
    reference: float | None = None
    """A dashed line, in the unit, such as the device's memory."""

    @property
    def script_id(self) -> str:
        return f"figure-{self.name}"

    def drawn(self) -> dict[str, Any]:
        """What the browser gets: plotly's data, layout and config, and how to fill them."""
        return {**_figure(self), "scale": self.scale, "title": self.title, "unit": self.unit}


def charts_for(job: Job) -> list[Chart]:
    """The charts of a job, in the order of the page."""
    every = job.spec.get("training", {}).get("eval_every")
    waits = f"Evaluated every {every:,} steps; the first comes at step {every:,}." if every else "No evaluation yet."
    charts = [_loss(), *_metrics(job, waits), _gradient_norm(), _learning_rate(), _throughput(), _memory(job)]
    return [replace(chart, empty="The job logged no two such points.") for chart in charts] if job.ended else charts


def _loss() -> Chart:
    train = Line("loss", "train", smooth=True)
    evaluated = Line("eval_loss", "eval", colour=2, dashed=True, markers=True)
    help = "Both should fall. Eval rising while train falls means overfitting: stop earlier or train less."
    return Chart("loss", "Loss", "", help, (train, evaluated), wide=True)


def _metrics(job: Job, waits: str) -> list[Chart]:
    """The task's own metrics on the held-out rows."""
    if job.task == "text-classification":
        lines = (
            Line("eval_accuracy", "accuracy", colour=7, markers=True),
            Line("eval_f1", "F1", colour=5, dashed=True, markers=True),
        )
        help = "Held-out rows that are right, and F1 averaged over labels: far below, it misses the rare labels."
        return [Chart("accuracy", "Accuracy and F1", "%", help, lines, ".3~g", scale=100, empty=waits)]
    perplexity = (Line("eval_perplexity", "perplexity", colour=7, markers=True),)
    help = "Exp of the eval loss: among how many tokens the model still wavers. Lower is better."
    return [Chart("perplexity", "Perplexity", "", help, perplexity, empty=waits)]


def _gradient_norm() -> Chart:
    help = "Before clipping. Single spikes are harmless; steady growth comes before divergence."
    return Chart("grad_norm", "Gradient norm", "", help, (Line("grad_norm", "norm", smooth=True),), from_zero=True)


def _learning_rate() -> Chart:
    help = "Rises during the warm-up, then follows the schedule of the config."
    return Chart("learning_rate", "Learning rate", "", help, (Line("learning_rate", "rate"),), ".1e", from_zero=True)


def _throughput() -> Chart:
    line = Line("tokens_per_second", "tokens/s", smooth=True)
    help = "Tokens per second. Dips beside evaluations and checkpoints are normal."
    return Chart("throughput", "Throughput", "tok/s", help, (line,), ",~d", from_zero=True)


def _memory(job: Job) -> Chart:
    """VRAM on a GPU, the process's memory on a CPU; the label says which."""
    kind = job.memory_kind or "memory"
    title = kind if kind.isupper() else kind.capitalize()
    total = job.device_memory_total_bytes
    on_gpu = kind == "VRAM" and total
    help = "Used by the training. Flat is normal; a steady rise is a leak." + (
        " The dashed line is all the device has." if on_gpu else ""
    )
    line = Line("device_memory_bytes", kind)
    reference = round(total * GIB, 2) if on_gpu and total else None
    return Chart("memory", title, "GiB", help, (line,), scale=GIB, from_zero=True, reference=reference)


# ---- From a chart to plotly's JSON ---------------------------------------------------------------


def _figure(chart: Chart) -> dict[str, Any]:
    figure = go.Figure(data=[trace for line in chart.lines for trace in _traces(chart, line)])
    figure.layout.template = None
    figure.update_layout(
        margin={"l": 52, "r": 12, "t": 8, "b": 26},
        showlegend=False,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        hovermode="x unified",
        dragmode="zoom",
        uirevision="step",
        font={"size": 12},
        xaxis=_axis(tickformat=",~d"),
        yaxis=_axis(tickformat=chart.tick_format, fixedrange=True, rangemode="tozero" if chart.from_zero else "normal"),
    )
    if chart.reference is not None:
        line = {"width": 1, "dash": "dash"}
        figure.add_hline(y=chart.reference, line=line, layer="below")
    plain = figure.to_plotly_json()
    plain["layout"].pop("template", None)
    return {"data": plain["data"], "layout": plain["layout"], "config": CONFIG}


def _axis(**more: Any) -> dict[str, Any]:
    ticks = {"ticks": "outside", "ticklen": 4, "tickfont": {"size": 11}}
    return {"zeroline": False, "automargin": True, "showline": True, **ticks, **more}


def _traces(chart: Chart, line: Line) -> list[go.Scatter]:
    """A smoothed line has its raw points behind it, thin and without hover."""
    if not line.smooth:
        return [_trace(chart, line, "raw", width=2)]
    behind = _trace(chart, line, "raw", width=1).update(opacity=0.28, hoverinfo="skip", hovertemplate=None)
    return [behind, _trace(chart, line, "smooth", width=2)]


def _trace(chart: Chart, line: Line, part: str, width: int) -> go.Scatter:
    number = ".2e" if chart.name == "learning_rate" else ".4~g" if chart.tick_format != ",~d" else ",.0f"
    unit = f" {chart.unit}" if chart.unit else ""
    return go.Scatter(
        uid=f"{line.series}-{part}",
        name=line.label,
        mode="lines+markers" if line.markers else "lines",
        line={"width": width, "dash": "dash" if line.dashed else "solid"},
        marker={"size": 6} if line.markers else None,
        connectgaps=line.markers,
        hovertemplate=f"%{{y:{number}}}{unit}",
        meta={"series": line.series, "part": part, "colour": f"--trace-{line.colour}"},
    )
