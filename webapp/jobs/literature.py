"""Scores that papers print beside a share of trained parameters: a grey layer, never held against our own numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from webapp.jobs.comparing import Group

SHARES = ("accuracy", "f1")
"""What the papers average is a percentage right; beside a loss or a perplexity it would mean nothing."""


@dataclass(frozen=True)
class Paper:
    """One printed score."""

    title: str
    trained_percent: float
    score: float
    """0 to 1."""
    source: str


DING = "average of 8 tasks, RoBERTa-large; Ding et al., Nature Machine Intelligence 2023, table 2"
LORA = "average of GLUE, RoBERTa-base; README of microsoft/LoRA"
PAPERS = (
    Paper("Adapter", 1.75, 0.874, DING),
    Paper("BitFit", 0.09, 0.866, DING),
    Paper("Prompt tuning", 0.003, 0.777, DING),
    Paper("LoRA", 100 * 0.8 / 125, 0.8724, LORA),
    Paper("Full fine-tuning", 100.0, 0.8640, LORA),
)


def beside(groups: Sequence[Group]) -> Sequence[Paper]:
    """Those that may lie on the same axis as the scores of these groups."""
    metric = next((group.metric for group in groups if group.scores), "")
    return PAPERS if metric.endswith(SHARES) else ()
