"""IA³, plain half: keys, values and inner activations are scaled by learnt vectors (Liu et al. 2022)."""

from __future__ import annotations

from dataclasses import dataclass

from workers.methods.method import Method
from workers.methods.options import Options, option
from workers.methods.shape import ROLES, Shape
from workers.methods.sizes import raised_for_small
from workers.methods.targets import adapted, check_targets, unknown_layers
from workers.protocol import Task

BY_INPUT = "down"
"""The layer whose inputs are scaled: they are the feed-forward network's inner activations."""


@dataclass(frozen=True)
class Ia3Options(Options):
    """What IA³ lets you choose."""

    targets: tuple[str, ...] = option(
        ("k", "v", "down"),
        "Linear layers whose outputs are scaled; of down, the inputs: these are the inner activations.",
        choices=ROLES,
    )


def count(shape: Shape, options: Ia3Options) -> int:
    """One scale for each output of the adapted linears; for `down`, for each input."""
    return sum(
        linear.inputs if linear.role == BY_INPUT else linear.outputs for linear in adapted(shape, options.targets)
    )


def learning_rate(shape: Shape, task: Task, steps: int, options: Ia3Options) -> float:
    """3e-3, for scales that start at 1 hardly move at the rates of LoRA; ten times as much for small models."""
    return raised_for_small(3e-3, 10, shape, steps)


def check(shape: Shape, options: Ia3Options) -> None:
    check_targets(shape, options.targets)


METHOD = Method(
    name="ia3",
    title="IA³",
    family="addition",
    summary=(
        "Learns one scale for each key, value and inner activation, and nothing else: fewer parameters than nearly "
        "every other method, and an artifact of some kilobytes."
    ),
    choose_when="For many small deltas of one base model, and where little data is at hand.",
    inference_cost="About a twelfth unmerged; nothing once merged.",
    paper="Liu et al., Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper, 2022, arXiv:2205.05638",
    formula="l ⊙ (W·x), and W·(l ⊙ x) in the feed-forward network; l = 1 at the start",
    options=Ia3Options,
    tasks=("text-classification", "causal-lm", "seq2seq"),
    servable=("peft",),
    count=count,
    learning_rate=learning_rate,
    check=check,
    why_not=lambda shape, task: unknown_layers(shape),
)
