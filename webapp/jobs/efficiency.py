"""What a delta costs and gives, in figures: savings over many tasks, the dimension that reaches 90 %, claims of papers.

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
    sweep = [group for group in groups if group.method == method and group.size]
    points = [(float(group.size or 0), group.scores.mean) for group in sweep if group.scores]
    return bracket(points, scores.mean if scores else None, what)


@dataclass(frozen=True)
class Claim:
    """What a paper says, what the jobs here show, and whether the two may be held against each other."""

    text: str
    setting: str
    source: str
    ours: str
    verdict: str
    """reproduced, differs, other scale, or not measured."""


ADAPTERS = ("houlsby", "pfeiffer")
SURVEY = "Delta-tuning survey, as cited in the founding review"
MRPC_BASE_PARAMETERS = 125_000_000


def claims(groups: Sequence[Group], base_parameters: int | None) -> list[Claim]:
    """Only claims whose source is at hand."""
    return [
        _adapters(groups),
        _keeps(groups, "bitfit", 95.0, "BitFit keeps about 95 % of full fine-tuning", "as the survey says", SURVEY),
        _two_hundred(groups, base_parameters),
    ]


def _adapters(groups: Sequence[Group]) -> Claim:
    shares = [group.trained_percent for group in groups if group.method in ADAPTERS and group.trained_percent]
    ours = ", ".join(f"{share:.2g} %" for share in shares) or "no adapter job here"
    inside = all(0.5 <= share <= 8 for share in shares)
    verdict = "not measured" if not shares else "reproduced" if inside else "other scale"
    return Claim("Adapters train 0.5 to 8 % of the parameters", "as the survey says", SURVEY, ours, verdict)


def _keeps(groups: Sequence[Group], method: str, least: float, text: str, setting: str, source: str) -> Claim:
    full = full_of(groups)
    group = next((each for each in groups if each.method == method and each.scores), None)
    if full is None or full.scores is None or group is None or group.scores is None or less_is_better(group.metric):
        return Claim(text, setting, source, f"needs {method} and full fine-tuning with a score", "not measured")
    share = 100 * group.scores.mean / full.scores.mean
    return Claim(text, setting, source, f"{share:.0f} % of full", "reproduced" if share >= least else "differs")


def _two_hundred(groups: Sequence[Group], base_parameters: int | None) -> Claim:
    text, setting = "200 trained dimensions reach 90 % of full fine-tuning", "RoBERTa on MRPC"
    source = "Aghajanyan et al., arXiv 2012.13255, abstract"
    found = d90(groups)
    if found.high is None:
        return Claim(text, setting, source, found.sentence, "not measured")
    near = base_parameters is not None and 1 / 3 <= base_parameters / MRPC_BASE_PARAMETERS <= 3
    verdict = "other scale" if not near else "reproduced" if found.high <= 200 else "differs"
    return Claim(text, setting, source, found.sentence, verdict)
