"""What papers claim of delta methods, and what the jobs here show: only claims whose source is at hand.

A verdict is "other scale" where our base model is more than three times smaller or larger than the paper's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from webapp.jobs.comparing import Group, Purpose, alike, less_is_better
from webapp.jobs.efficiency import d90, full_of

SURVEY = "Delta-tuning survey, as cited in the founding review"
ADAPTERS = ("houlsby", "pfeiffer")
GPT_3, ROBERTA, ROBERTA_LARGE = 175e9, 125e6, 355e6
NEAR = 3.0
ADAPTER_SHARE = (0.5, 8.0)
SLOWER = (1.02, 1.10)
"""4 to 6 % slower, with as much again for what a median of a few passes may be off."""
NO_DELAY = 0.03
"""So near to 1 is no delay that passes of this length could show."""


@dataclass(frozen=True)
class Claim:
    """What a paper says, what the jobs here show, and whether the two may be held against each other."""

    text: str
    setting: str
    source: str
    ours: str
    verdict: str
    """reproduced, differs, other scale, or not measured."""


@dataclass(frozen=True)
class _Said:
    """The paper's half."""

    text: str
    setting: str
    source: str
    parameters: float | None = None
    """Of its base model; None: the claim is of no one size."""

    def held(self, ours: str, holds: bool, ours_parameters: int | None) -> Claim:
        near = self.parameters is None or (
            ours_parameters is not None and 1 / NEAR <= ours_parameters / self.parameters <= NEAR
        )
        verdict = "other scale" if not near else "reproduced" if holds else "differs"
        return Claim(self.text, self.setting, self.source, ours, verdict)

    def open(self, why: str) -> Claim:
        return Claim(self.text, self.setting, self.source, why, "not measured")


def claims(groups: Sequence[Group], base_parameters: int | None) -> list[Claim]:
    keeps = _surveyed("BitFit keeps about 95 % of full fine-tuning")
    lora = _surveyed("LoRA trains about 25 % faster than full fine-tuning")
    adapters = _surveyed("Adapters train about 60 % faster than full fine-tuning")
    return [
        _adapters(groups),
        _keeps(groups, "bitfit", 95.0, keeps),
        _storage(groups, base_parameters),
        _memory(groups, base_parameters),
        _faster(groups, ("lora",), 25, lora),
        _faster(groups, ADAPTERS, 60, adapters),
        _answering(groups),
        _order(groups, base_parameters),
        _two_hundred(groups, base_parameters),
    ]


def _surveyed(text: str) -> _Said:
    return _Said(text, "as the survey says", SURVEY)


def _first(groups: Sequence[Group], methods: Sequence[str], has: Callable[[Group], object]) -> Group | None:
    return next((group for group in groups if group.method in methods and has(group)), None)


def _adapters(groups: Sequence[Group]) -> Claim:
    said = _surveyed("Adapters with 0.5 to 8 % of the parameters come close to full")
    found = [group for group in groups if group.method in ADAPTERS and group.trained_percent]
    if not found:
        return said.open("no adapter job here")
    full, share = full_of(groups), found[0].trained_percent or 0
    scores = found[0].scores
    inside = ADAPTER_SHARE[0] <= share <= ADAPTER_SHARE[1]
    if not inside:
        return Claim(said.text, said.setting, SURVEY, f"{share:.2g} % trained", "other scale")
    if full is None or full.scores is None or scores is None or less_is_better(full.metric):
        return said.open(f"{share:.2g} % trained; needs full fine-tuning with a score of which more is better")
    if not full.scores.mean:
        return said.open(f"{share:.2g} % trained; full fine-tuning scores nothing to hold it against")
    kept = 100 * scores.mean / full.scores.mean
    return said.held(f"{share:.2g} % trained, {kept:.0f} % of full", kept >= 95, None)


def _keeps(groups: Sequence[Group], method: str, least: float, said: _Said) -> Claim:
    full, group = full_of(groups), _first(groups, (method,), lambda group: group.scores)
    if full is None or full.scores is None or group is None or group.scores is None or less_is_better(group.metric):
        return said.open(f"needs {method} and full fine-tuning with a score of which more is better")
    if not full.scores.mean:
        return said.open("full fine-tuning scores nothing to hold it against")
    share = 100 * group.scores.mean / full.scores.mean
    return said.held(f"{share:.0f} % of full", share >= least, None)


def _storage(groups: Sequence[Group], parameters: int | None) -> Claim:
    said = _Said("LoRA's delta takes 35 MB instead of 350 GB, about 10,000 x less", "GPT-3 175B", SURVEY, GPT_3)
    return _ratio(groups, said, lambda group: group.artifact_bytes, None, 10_000, parameters, "smaller")


def _memory(groups: Sequence[Group], parameters: int | None) -> Claim:
    said = _Said("LoRA takes 350 GB of memory instead of 1.2 TB, 3.4 x less", "GPT-3 175B", SURVEY, GPT_3)
    return _ratio(groups, said, lambda group: group.memory_bytes, "memory", 3.4, parameters, "less")


def _ratio(
    groups: Sequence[Group],
    said: _Said,
    of: Callable[[Group], float | None],
    purpose: Purpose | None,
    wanted: float,
    parameters: int | None,
    word: str,
) -> Claim:
    full, lora = _first(groups, ("full",), of), _first(groups, ("lora",), of)
    if full is None or lora is None:
        return said.open("needs lora and full fine-tuning that have finished")
    if purpose and not alike(full, lora, purpose):
        return said.open("the two jobs differ in settings that must be equal for it")
    ratio = (of(full) or 0) / (of(lora) or 1)
    return said.held(f"{ratio:,.1f} x {word} ({lora.title})", ratio >= 0.9 * wanted, parameters)


def _faster(groups: Sequence[Group], methods: Sequence[str], percent: int, said: _Said) -> Claim:
    full, delta = _first(groups, ("full",), lambda g: g.seconds), _first(groups, methods, lambda g: g.seconds)
    if full is None or delta is None or not full.seconds or not delta.seconds:
        return said.open(f"needs {' or '.join(methods)} and full fine-tuning that have finished")
    if not alike(full, delta, "time"):
        return said.open("the two jobs differ in settings that must be equal for it")
    faster = 100 * (full.seconds / delta.seconds - 1)
    ours = f"{abs(faster):.0f} % {'faster' if faster >= 0 else 'slower'} ({delta.title})"
    return said.held(ours, faster >= 0.8 * percent, None)


def _answering(groups: Sequence[Group]) -> Claim:
    """Inference time as a multiple of the base model's, each measured beside it on one machine."""
    said = _surveyed("Adapters answer 4 to 6 % slower; a merged LoRA adds no delay")
    adapter = _first(groups, ADAPTERS, lambda group: group.delta_slowdown)
    lora = _first(groups, ("lora",), lambda group: group.merged_slowdown)
    slower = adapter.delta_slowdown if adapter else None
    merged = lora.merged_slowdown if lora else None
    parts = [f"{adapter.title} {slower:.2f} ×"] if adapter and slower else []
    parts += [f"{lora.title} merged {merged:.2f} ×"] if lora and merged else []
    ours = f"inference time against the base model: {', '.join(parts)}"
    if slower is None or merged is None:
        missing = "; needs an adapter and a LoRA that have succeeded and were timed"
        return said.open(ours + missing if parts else missing.removeprefix("; "))
    return said.held(ours, SLOWER[0] <= slower <= SLOWER[1] and abs(merged - 1) <= NO_DELAY, None)


def _order(groups: Sequence[Group], parameters: int | None) -> Claim:
    said = _Said(
        "Adapter 87.4 (1.75 %), BitFit 86.6 (0.09 %), prompt tuning 77.7 (0.003 %)",
        "average of 8 tasks, RoBERTa-large; held against in their order",
        "Ding et al., Nature Machine Intelligence 2023, table 2",
        ROBERTA_LARGE,
    )
    kinds = (ADAPTERS, ("bitfit",), ("prompt_tuning",))
    found = [_first(groups, methods, lambda group: group.scores) for methods in kinds]
    scores = [group.scores.mean for group in found if group and group.scores and not less_is_better(group.metric)]
    if len(scores) < len(kinds):
        return said.open("needs an adapter, bitfit and prompt_tuning with a score")
    ours = ", ".join(f"{group.title} {score:.3g}" for group, score in zip(found, scores, strict=True) if group)
    return said.held(ours, scores == sorted(scores, reverse=True), parameters)


def _two_hundred(groups: Sequence[Group], parameters: int | None) -> Claim:
    source = "Aghajanyan et al., arXiv 2012.13255, abstract"
    said = _Said("200 trained dimensions reach 90 % of full fine-tuning", "RoBERTa on MRPC", source, ROBERTA)
    found = d90(groups)
    return said.open(found.sentence) if found.high is None else said.held(found.sentence, found.high <= 200, parameters)
