"""Score against cost as figures: the front, what is not separable from it, the lines to hold it against."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from webapp.accounts.templatetags.numbers import bytes_size, count, metric, percent, rough_duration
from webapp.jobs.comparing import Group, Point, Purpose, Spread, less_is_better, placed
from webapp.jobs.efficiency import SHARE, full_of
from webapp.jobs.figures import GIB
from webapp.jobs.literature import Paper
from webapp.jobs.point_names import Spot, places
from webapp.jobs.study_figures import plain

SHAPES = {"reparameterization": "circle", "addition": "square", "specification": "diamond", "full": "x"}
FAMILY_SLOTS = {"reparameterization": 1, "addition": 2, "specification": 7, "full": 7}
BUBBLE_PX = 34
POINT_PX = 14
RING_PX = 3
WIDE_PX, NARROW_PX, HEIGHT_PX = 900, 400, 165
"""Of the plot inside a card, as labels are placed; a guess, since only the browser knows."""
AXIS = "--axis"
NEAR = 1.5
"""A reference line further away than so many spans of the points is told in words: drawn, it would flatten them."""


@dataclass(frozen=True)
class Cost:
    """What a front is drawn against."""

    key: str
    title: str
    of: Callable[[Group], float | None]
    purpose: Purpose
    write: Callable[[Any], str]
    """A value for people."""
    log: bool = True
    scale: float = 1.0


COSTS = (
    Cost("trained", "Trained parameters, % of all (log)", lambda group: group.trained_percent, "score", percent),
    Cost("artifact", "Delta on disk, MiB (log)", lambda group: group.artifact_bytes, "score", bytes_size, True, 2**-20),
    Cost("memory", "Peak memory, GiB", lambda group: group.memory_bytes, "memory", bytes_size, False, GIB),
    Cost("time", "Time, minutes", lambda group: group.seconds, "time", rough_duration, False, 1 / 60),
    Cost("tokens", "Tokens trained on", lambda group: group.tokens, "score", count, False),
    Cost("energy", "Energy, kWh", lambda group: group.kwh, "time", str, False),
)


@dataclass(frozen=True)
class Merit:
    """What stands on the y axis: a group's value, and lines to hold it against."""

    title: str
    of: Callable[[Group], Spread | None]
    less: bool
    lines: tuple[tuple[float, str], ...] = ()


def merit_of(groups: Sequence[Group], base: float | None, y: str = "") -> Merit:
    """The score; `loss`: the eval loss; `gain`: the share of full fine-tuning's gain over the base model that was
    kept, where that is known."""
    if y == "loss":
        return Merit("eval loss", lambda group: group.losses, True)
    name = next((group.metric for group in groups if group.scores), "")
    less, full = less_is_better(name), full_of(groups)
    top = full.scores.mean if full and full.scores else None
    if y == "gain" and base is not None and top is not None and top != base:
        return Merit("share of the full gain, %", _gain_of(base, top), False, ((100.0, "full fine-tuning"),))
    lines = [(base, "base model")] if base is not None else []
    if top is not None and not less:
        lines.append((SHARE * top, "90 % of full fine-tuning"))
    return Merit(name.replace("_", " "), lambda group: group.scores, less, tuple(lines))


def _gain_of(base: float, top: float) -> Callable[[Group], Spread | None]:
    def kept(value: float) -> float:
        return 100 * (value - base) / (top - base)

    def gain(group: Group) -> Spread | None:
        score = group.scores
        if score is None:
            return None
        ends = sorted((kept(score.low), kept(score.high)))
        return Spread(kept(score.mean), ends[0], ends[1], score.n)

    return gain


def front(
    groups: Sequence[Group], cost: Cost, merit: Merit, papers: Sequence[Paper] = (), ringed: Group | None = None
) -> dict[str, Any] | None:
    """None without two groups that have both numbers; `ringed` gets a thick rim.

    What papers say lies beside them, never on the front.
    """
    points = placed(groups, cost.of, merit.less, merit.of)
    if len(points) < 2:
        return None
    large = cost.key == "trained"  # the first panel alone shows memory as area, and the legend
    axes = _Axes.around(points, cost, merit, WIDE_PX if large else NARROW_PX, papers)
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
    largest = max((point.group.memory_bytes or 0 for point in points), default=0) if large else 0
    sizes = {id(point): _size(point, largest) for point in points}
    texts = _texts(points, sizes, axes)
    for family in SHAPES:
        own = [point for point in points if point.group.family == family]
        if own:
            figure.add_trace(_family(family, own, cost, sizes, texts).update(_rims(own, ringed)))
    if papers:
        figure.add_trace(_literature(papers))
    _lines(figure, merit, axes)
    figure.update_xaxes(title={"text": cost.title, "font": {"size": 12}}, type="log" if cost.log else "linear")
    if cost.log:
        figure.update_xaxes(dtick=1)
    figure.update_xaxes(range=list(axes.x))
    figure.update_yaxes(title={"text": merit.title, "font": {"size": 12}}, range=list(axes.y))
    drawn = plain(figure.update_layout(showlegend=large))
    if large:
        drawn["layout"]["margin"] = {**drawn["layout"]["margin"], "t": 48}
        drawn["layout"]["annotations"] = [*drawn["layout"].get("annotations", []), _areas(largest)]
    return drawn


@dataclass(frozen=True)
class _Axes:
    """The ranges of both axes, as plotly has them, and how wide the plot is."""

    cost: Cost
    x: tuple[float, float]
    y: tuple[float, float]
    width: int

    @classmethod
    def around(
        cls, points: Sequence[Point], cost: Cost, merit: Merit, width: int, papers: Sequence[Paper] = ()
    ) -> _Axes:
        """With room for bubbles and names; reference lines that lie near are inside."""
        xs = [_place(x, cost) for x in (*(point.x for point in points), *(paper.trained_percent for paper in papers))]
        printed = [paper.score for paper in papers]
        low = min([point.score.low for point in points] + printed)
        high = max([point.score.high for point in points] + printed)
        span = high - low or abs(high) * 0.1 or 1.0
        near = [value for value, _ in merit.lines if low - NEAR * span <= value <= high + NEAR * span]
        low, high = min([low, *near]), max([high, *near])
        least = 0.2 if cost.log else 0.05 * abs(max(xs)) or 1.0
        wide = max(max(xs) - min(xs), least)
        return cls(
            cost,
            (min(xs) - 0.09 * wide, max(xs) + 0.09 * wide),
            (low - 0.16 * (high - low or span), high + 0.2 * (high - low or span)),
            width,
        )

    def spot(self, point: Point, size: float) -> Spot:
        across = (_place(point.x, self.cost) - self.x[0]) / (self.x[1] - self.x[0])
        up = (point.score.mean - self.y[0]) / (self.y[1] - self.y[0])
        return Spot(self.width * across, HEIGHT_PX * (1 - up), size / 2, point.group.title)


def _place(value: float, cost: Cost) -> float:
    scaled = value * cost.scale
    return math.log10(scaled) if cost.log else scaled


def _size(point: Point, largest: float) -> float:
    if not largest:
        return POINT_PX
    share = (point.group.memory_bytes or 0) / largest
    return max(8.0, BUBBLE_PX * math.sqrt(share))


def _texts(points: Sequence[Point], sizes: dict[int, float], axes: _Axes) -> dict[int, str]:
    """Where each point's name stands; the front's points choose first, then the better ones."""
    ranked = sorted(points, key=lambda point: (not point.on_front, -point.score.mean))
    found = places([axes.spot(point, sizes[id(point)]) for point in ranked])
    return {id(point): place for point, place in zip(ranked, found, strict=True)}


def _family(family: str, own: list[Point], cost: Cost, sizes: dict[int, float], texts: dict[int, str]) -> go.Scatter:
    symbols = [SHAPES[family] + ("-open" if not each.on_front and not each.separable else "") for each in own]
    return go.Scatter(
        uid=f"front-{family}",
        name=family.replace("reparameterization", "reparameterisation"),
        x=[each.x * cost.scale for each in own],
        y=[each.score.mean for each in own],
        mode="markers+text",
        text=[each.group.title if texts[id(each)] else "" for each in own],
        hovertext=[each.group.title for each in own],
        textposition=[texts[id(each)] or "top center" for each in own],
        textfont={"size": 11},
        marker={
            "symbol": symbols,
            "size": [sizes[id(each)] for each in own],
        },
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [each.score.high - each.score.mean for each in own],
            "arrayminus": [each.score.mean - each.score.low for each in own],
            "thickness": 1.5,
        },
        customdata=[_told(each) for each in own],
        hovertemplate="<b>%{hovertext}</b><br>%{customdata}<extra></extra>",
        cliponaxis=False,
        meta={"colour": f"--trace-{FAMILY_SLOTS[family]}"},
    )


def _rims(own: Sequence[Point], ringed: Group | None) -> dict[str, Any]:
    """A thick rim for one, which then is never pale."""
    clear = [point.on_front or not point.separable or point.group is ringed for point in own]
    widths = [RING_PX if point.group is ringed else 1 for point in own]
    return {"marker": {"opacity": [1.0 if each else 0.45 for each in clear], "line": {"width": widths}}}


def _literature(papers: Sequence[Paper]) -> go.Scatter:
    return go.Scatter(
        uid="literature",
        name="papers, other models and data",
        x=[paper.trained_percent for paper in papers],
        y=[paper.score for paper in papers],
        mode="markers",
        marker={"symbol": "circle", "size": 8, "opacity": 0.7, "line": {"width": 0}},
        hovertext=[paper.title for paper in papers],
        customdata=[paper.source for paper in papers],
        hovertemplate="<b>%{hovertext}</b>: %{y:.3~g}<br>%{customdata}<extra></extra>",
        meta={"colour": AXIS},
    )


def _told(point: Point) -> str:
    group, score = point.group, point.score
    named = group.metric if score == group.scores else ""
    sizes = f"{percent(group.trained_percent)} trained, {bytes_size(group.artifact_bytes)}"
    peak = f"{bytes_size(group.memory_bytes)} peak"
    return f"{metric(score.mean, named)}, n = {score.n}; {sizes}, {peak}<br>{standing(point)}"


def standing(point: Point) -> str:
    """Whether it is on the front, and what is better than it otherwise."""
    if point.on_front:
        return "on the front"
    return f"dominated by {point.dominated_by}" if point.separable else f"not separable from {point.dominated_by}"


def _lines(figure: go.Figure, merit: Merit, axes: _Axes) -> None:
    """Reference lines that lie inside the axes; the others are said at the edge they lie beyond."""
    for value, words in merit.lines:
        inside = axes.y[0] <= value <= axes.y[1]
        said = words if inside else f"{words}: {value:.3g}, {'below' if value < axes.y[0] else 'above'}"
        if inside:
            figure.add_hline(y=value, line={"width": 1, "dash": "dash"}, layer="below")
        y = value if inside else axes.y[0] if value < axes.y[0] else axes.y[1]
        anchor = "top" if not inside and value > axes.y[1] else "bottom"
        place = {"x": 0, "xref": "paper", "xanchor": "left", "y": y, "yanchor": anchor}
        figure.add_annotation(text=said, showarrow=False, font={"size": 11}, **place)


def _areas(largest: float) -> dict[str, Any]:
    """What the area of a bubble says; 17 and 22 GiB look alike, so the largest is named."""
    text = f"area: peak memory, largest {bytes_size(largest)}"
    corner = {"x": 1, "xref": "paper", "xanchor": "right", "y": 0, "yref": "paper", "yanchor": "bottom"}
    return {"text": text, "showarrow": False, "font": {"size": 11}, **corner}
