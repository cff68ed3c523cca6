"""Figures over sizes and settings: where 90 % of full is reached, score by size, score by setting, parts of memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from webapp.jobs.comparing import Group, less_is_better, metric_name
from webapp.jobs.costs import parts_of
from webapp.jobs.efficiency import SHARE, Bracket, full_of, swept
from webapp.jobs.figures import GIB
from webapp.jobs.grouping import config_difference
from webapp.jobs.models import Job
from webapp.jobs.study_figures import look_of, plain
from workers.methods import METHODS
from workers.methods.hyperparameters import Training

SETTINGS_AT_MOST = 3
TICKS_AT_MOST = 6
LOG_FROM = 20.0
"""Largest over smallest, from which on an axis is logarithmic."""
PART_COLOURS = {"weights": 1, "delta": 2, "gradients": 3, "optimizer": 4, "activations": 5, "runtime": 8}


def reaching(groups: Sequence[Group], bracket: Bracket) -> dict[str, Any] | None:
    """Scores over intrinsic dimensions, and over what LoRA trains at each rank; the bracket around 90 % is shaded."""
    full = full_of(groups)
    lines = (("intrinsic_dimension", "intrinsic dimension", 1), ("lora", "LoRA, trained parameters", 2))
    found = [(name, colour, _reached(groups, method)) for method, name, colour in lines]
    if full is None or full.scores is None or less_is_better(full.metric) or not any(points for *_, points in found):
        return None
    figure = go.Figure()
    for name, colour, points in found:
        if points:
            figure.add_trace(_line(name, points, f"--trace-{colour}"))
    figure.add_hline(
        y=SHARE * full.scores.mean,
        line={"width": 1, "dash": "dash"},
        layer="below",
        annotation={"text": "90 % of full fine-tuning", "font": {"size": 11}, "xanchor": "left", "x": 0},
    )
    if bracket.low and bracket.high:
        shade = {"fillcolor": "rgba(128, 128, 128, 0.18)", "line": {"width": 0}, "layer": "below"}
        figure.add_vrect(x0=bracket.low, x1=bracket.high, **shade)
    figure.update_xaxes(type="log", dtick=1, title={"text": "Dimensions or trained parameters (log)"})
    figure.update_yaxes(title={"text": full.metric.replace("_", " ")})
    return plain(figure)


def _reached(groups: Sequence[Group], method: str) -> list[tuple[float, Group]]:
    """Numbers that were free to move, with the group: of LoRA its parameters, of a subspace its dimension."""
    counted = [(_trained(group) if method == "lora" else group.size, group) for group in swept(groups, method)]
    return [(float(x), group) for x, group in counted if x]


def _trained(group: Group) -> int | None:
    return next((job.trainable_parameters for job in group.jobs if job.trainable_parameters), None)


def by_size(groups: Sequence[Group]) -> dict[str, Any] | None:
    """Score over rank, bottleneck, prompt length and the like, of methods tried in at least two sizes."""
    figure = go.Figure()
    for method in dict.fromkeys(group.method for group in groups):
        points = [(float(group.size or 0), group) for group in swept(groups, method)]
        if len(points) >= 2:
            figure.add_trace(_line(METHODS[method].title, points, look_of(points[0][1].slot)["colour"]))
    if not figure.data:
        return None
    sizes = sorted({x for trace in figure.data for x in trace.x})
    figure.update_xaxes(type="log", tickvals=sizes, ticktext=[f"{size:,.0f}" for size in sizes])
    figure.update_xaxes(title={"text": "Rank, bottleneck, length or dimension (log)"})
    figure.update_yaxes(title={"text": next(group.metric for group in groups if group.scores).replace("_", " ")})
    return plain(figure)


def _line(name: str, points: Sequence[tuple[float, Group]], colour: str) -> go.Scatter:
    scores = [group.scores for _, group in points if group.scores]
    return go.Scatter(
        uid=f"line-{name}",
        name=name,
        x=[x for x, _ in points],
        y=[score.mean for score in scores],
        mode="lines+markers",
        line={"width": 2},
        marker={"size": 7},
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [score.high - score.mean for score in scores],
            "arrayminus": [score.mean - score.low for score in scores],
            "thickness": 1.5,
        },
        hovertext=[group.title for _, group in points],
        hovertemplate="%{hovertext}: %{y:.4~g}<extra></extra>",
        meta={"colour": colour},
    )


def settings_against_score(groups: Sequence[Group]) -> list[tuple[str, dict[str, Any]]]:
    """For each of a few numeric settings in which jobs differ: (its name, score of every job over it)."""
    scored = [(group, job) for group in groups for job in group.finished if job.best_metric]
    if len(scored) < 2:
        return []
    found = []
    for key, values, differs in config_difference([job for _, job in scored]):
        numbers = [value for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)]
        if differs and key != "training.seed" and len(numbers) >= 2 and len(set(numbers)) >= 2:
            words = key.rpartition(".")[2].replace("_", " ")
            found.append((words, _scatter(words, list(zip(values, scored, strict=True)))))
    return found[:SETTINGS_AT_MOST]


def _scatter(words: str, points: Sequence[tuple[Any, tuple[Group, Job]]]) -> dict[str, Any]:
    figure = go.Figure()
    known = [(value, group, job) for value, (group, job) in points if isinstance(value, (int, float))]
    for slot in dict.fromkeys(group.slot for _, group, _ in known):
        own = [(value, group, job) for value, group, job in known if group.slot == slot]
        figure.add_scatter(
            uid=f"setting-{slot}",
            name=own[0][1].title,
            x=[value for value, _, _ in own],
            y=[job.best_metric["value"] for _, _, job in own],
            mode="markers",
            marker={"size": 9},
            hovertext=[job.name for _, _, job in own],
            hovertemplate="%{hovertext}: %{y:.4~g} at %{x:.4~g}<extra></extra>",
            meta={"colour": look_of(slot)["colour"]},
        )
    low, high = min(value for value, _, _ in known), max(value for value, _, _ in known)
    log, tried = low > 0 and high / low >= LOG_FROM, sorted({float(value) for value, _, _ in known})
    if len(tried) <= TICKS_AT_MOST:
        figure.update_xaxes(tickvals=tried, ticktext=[f"{value:g}" for value in tried])
    figure.update_xaxes(title={"text": f"{words}{' (log)' if log else ''}"}, type="log" if log else "linear")
    figure.update_yaxes(title={"text": metric_name(known[0][2]).replace("_", " ")})
    return plain(figure.update_layout(showlegend=False))


def memory_parts(groups: Sequence[Group]) -> dict[str, Any] | None:
    """Estimated parts of the peak as stacked bars, what they leave unexplained, and the measured peak as a mark."""
    told = [(group, _parts(group)) for group in groups]
    known = [(group, parts) for group, parts in told if parts and group.memory_bytes]
    if not known:
        return None
    figure = go.Figure()
    names = [group.title for group, _ in known][::-1]
    for part, slot in PART_COLOURS.items():
        _bar(figure, part, [parts[part] for _, parts in known][::-1], names, f"--trace-{slot}")
    rest = [max(0.0, (group.memory_bytes or 0) - sum(parts.values())) for group, parts in known][::-1]
    _bar(figure, "unattributed", rest, names, "--axis")
    figure.add_scatter(
        uid="measured",
        name="measured peak",
        x=[(group.memory_bytes or 0) * GIB for group, _ in known][::-1],
        y=names,
        mode="markers",
        marker={"symbol": "diamond", "size": 10},
        hovertemplate="measured %{x:.3~g} GiB<extra></extra>",
        meta={"colour": "--text"},
    )
    for limit in {job.device_memory_total_bytes for group, _ in known for job in group.finished}:
        if limit:
            figure.add_vline(x=limit * GIB, line={"width": 1, "dash": "dash"}, layer="below")
    figure.update_layout(barmode="stack", bargap=0.4, legend={"traceorder": "normal"})
    figure.update_xaxes(title={"text": "GiB"}, rangemode="tozero")
    return plain(figure)


def _bar(figure: go.Figure, name: str, values: Sequence[float], titles: Sequence[str], colour: str) -> None:
    figure.add_bar(
        uid=f"part-{name}",
        name=name,
        x=[value * GIB for value in values],
        y=titles,
        orientation="h",
        hovertemplate=f"{name}: %{{x:.3~g}} GiB<extra></extra>",
        meta={"colour": colour},
        marker={"line": {"width": 0}},
    )


def _parts(group: Group) -> dict[str, int] | None:
    """The arithmetic of the new-job form for a finished job; None where the base model's shape is not known."""
    job = next(iter(group.finished), None)
    method = METHODS.get(group.method)
    if job is None or method is None or not job.base_model.shape or not job.trainable_parameters:
        return None
    kind = "cuda" if job.memory_kind == "VRAM" else "cpu"
    training: Training = Training.from_json(job.spec["training"])
    return parts_of(method, job.base_model.read_shape, job.task, job.trainable_parameters, training, kind)
