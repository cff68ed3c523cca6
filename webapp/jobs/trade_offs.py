"""What each setting costs and gives as one table, sortable: the numbers behind all figures of the efficiency tab."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from webapp.accounts.templatetags.numbers import bytes_size
from webapp.jobs.comparing import Group, Spread, facets, placed
from webapp.jobs.fronts import COSTS, Merit, merit_of, standing


@dataclass(frozen=True)
class TradeOff:
    """One setting over its seeds."""

    group: Group
    tried: int
    """Settings of its method in this comparison: one tried once stands beside one tried ten times."""
    gain: Spread | None
    """Percent of full fine-tuning's gain over the base model that it keeps."""
    standing: str
    """On the front of score against trained parameters, or what is better."""


def trade_offs(groups: Sequence[Group], base: float | None) -> list[TradeOff]:
    """In the order of the groups."""
    tried = Counter(group.method for group in groups)
    gain, where = merit_of(groups, base, "gain"), _standings(groups)
    known = gain.title.startswith("share")
    return [
        TradeOff(group, tried[group.method], gain.of(group) if known else None, where.get(group.slot, ""))
        for group in groups
    ]


def _standings(groups: Sequence[Group]) -> dict[int, str]:
    """By slot; only within groups whose scores may be compared."""
    found: dict[int, str] = {}
    for panel in facets(groups, "score"):
        merit = merit_of(panel, None)
        points = placed(panel, COSTS[0].of, merit.less)
        by_title = {point.group.title: point.group for point in points}
        for point in points:
            better = by_title.get(point.dominated_by)
            found[point.group.slot] = standing(point) + (_by_how_much(point.group, better, merit) if better else "")
    return found


def _by_how_much(group: Group, better: Group, merit: Merit) -> str:
    """ ": +0.4 score, −0.6 GiB", as far as both are known."""
    own, other = merit.of(group), merit.of(better)
    said = [f"{other.mean - own.mean:+.3g} score"] if own and other else []
    if group.memory_bytes and better.memory_bytes and abs(better.memory_bytes - group.memory_bytes) > 2**20:
        less = better.memory_bytes - group.memory_bytes
        said.append(f"{'−' if less < 0 else '+'}{bytes_size(abs(less))}")
    return f": {', '.join(said)}" if said else ""


SORTS: dict[str, tuple[str, Callable[[TradeOff], Any]]] = {
    "method": ("Method", lambda row: row.group.title),
    "trained": ("Trained", lambda row: row.group.trained_percent),
    "artifact": ("Delta", lambda row: row.group.artifact_bytes),
    "memory": ("Peak memory", lambda row: row.group.memory_bytes),
    "time": ("Time", lambda row: row.group.seconds),
    "tokens": ("Tokens", lambda row: row.group.tokens),
    "energy": ("kWh", lambda row: row.group.kwh),
    "slowdown": ("Inference", lambda row: row.group.delta_slowdown),
    "score": ("Score (range)", lambda row: row.group.scores.mean if row.group.scores else None),
    "gain": ("Gain kept", lambda row: row.gain.mean if row.gain else None),
}


def ordered(rows: list[TradeOff], asked: str) -> list[TradeOff]:
    """By a column, "-" before its name for the largest first; rows without the number come last either way."""
    name, down = asked.removeprefix("-"), asked.startswith("-")
    if name not in SORTS:
        return rows
    read = SORTS[name][1]
    known = sorted((row for row in rows if read(row) is not None), key=read, reverse=down)
    return [*known, *(row for row in rows if read(row) is None)]
