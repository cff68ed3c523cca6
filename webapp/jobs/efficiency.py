"""What a delta costs and gives, in numbers: savings over many tasks, the dimension that reaches 90 % of full.

Only measured numbers: where one is missing the answer says which job would bring it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from webapp.jobs.comparing import Group, less_is_better

SHARE = 0.9
FULL = "full"


@dataclass(frozen=True)
class Savings:
    """Disk for N tasks: N full checkpoints, or one base model and N deltas."""

    tasks: int
    full_bytes: float
    delta_bytes: float

    @property
    def ratio(self) -> float:
        return self.full_bytes / self.delta_bytes


def savings(tasks: int, full_bytes: float, base_bytes: float, delta_bytes: float) -> Savings:
    return Savings(tasks, tasks * full_bytes, base_bytes + tasks * delta_bytes)


def full_of(groups: Sequence[Group]) -> Group | None:
    """Full fine-tuning among these, if it has a score."""
    return next((group for group in groups if group.method == FULL and group.scores), None)


@dataclass(frozen=True)
class Bracket:
    """Where a sweep first reaches 90 % of the full score; a bracket, never more digits than it supports."""

    low: float | None
    """The largest size tried that stays below; None: the smallest tried reaches it."""
    high: float | None
    """The smallest size tried that reaches it; None: none did."""
    between: float | None
    """Log-linear between the two."""
    sentence: str


def bracket(points: Sequence[tuple[float, float]], full: float | None, what: str) -> Bracket:
    """`points` are (size, mean score), more being better; `full` the score of full fine-tuning."""
    if full is None:
        return Bracket(None, None, None, "Needs a full fine-tuning job on the same data.")
    if not points:
        return Bracket(None, None, None, f"Needs jobs over several sizes of {what}.")
    wanted = SHARE * full
    ordered = sorted(points)
    reached = next((place for place, (_, score) in enumerate(ordered) if score >= wanted), None)
    if reached is None:
        return Bracket(ordered[-1][0], None, None, f"Not reached up to {what} {ordered[-1][0]:,.0f}.")
    high = ordered[reached]
    if reached == 0:
        return Bracket(None, high[0], None, f"Reached at the smallest {what} tried, {high[0]:,.0f}: try smaller ones.")
    low = ordered[reached - 1]
    share = (wanted - low[1]) / (high[1] - low[1])
    between = math.exp(math.log(low[0]) + share * (math.log(high[0]) - math.log(low[0])))
    said = f"Between {what} {low[0]:,.0f} and {high[0]:,.0f}, about {_rounded(between)} by log-linear interpolation."
    return Bracket(low[0], high[0], between, said)


def _rounded(value: float) -> str:
    """Two digits: a bracket supports no more."""
    digits = -math.floor(math.log10(value)) + 1
    return f"{round(value, digits):,.0f}" if value >= 10 else f"{value:.1f}"


def d90(groups: Sequence[Group]) -> Bracket:
    return _swept(groups, "intrinsic_dimension", "dimension")


def rank90(groups: Sequence[Group]) -> Bracket:
    return _swept(groups, "lora", "rank")


def _swept(groups: Sequence[Group], method: str, what: str) -> Bracket:
    full = full_of(groups)
    scores = full.scores if full else None
    if scores and less_is_better(full.metric if full else ""):
        return Bracket(None, None, None, "Only for a score of which more is better; here less is.")
    points = [(float(group.size or 0), group.scores.mean) for group in swept(groups, method) if group.scores]
    return bracket(points, scores.mean if scores else None, what)


def swept(groups: Sequence[Group], method: str) -> list[Group]:
    """The sizes of one method that have a score, smallest first."""
    sized = [group for group in groups if group.method == method and group.size and group.scores]
    return sorted(sized, key=lambda group: group.size or 0)
