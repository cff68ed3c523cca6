"""LoKr, plain half: the Kronecker product of a small matrix and a low-rank one (Edalati et al. 2022)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from workers.methods.method import Method
from workers.methods.options import Options, option
from workers.methods.shape import ROLES, Linear, Shape
from workers.methods.sizes import raised_for_small
from workers.methods.targets import TARGETS_HELP, adapted, check_rank, check_targets, transposed_layers, unknown_layers
from workers.protocol import Task


@dataclass(frozen=True)
class LokrOptions(Options):
    """What LoKr lets you choose."""

    rank: int = option(
        8,
        "Rank of the second factor; from half its larger side on, the factor is kept whole.",
        minimum=1,
        maximum=4096,
    )
    alpha: float = option(16, "Strength of the delta: it is scaled by alpha / rank.", minimum=0.01, maximum=65536)
    targets: tuple[str, ...] = option(("q", "v"), TARGETS_HELP, choices=ROLES)


def count(shape: Shape, options: LokrOptions) -> int:
    """o₁·i₁ + r·(o₂ + i₂), or o₂·i₂ where the second factor is kept whole; o₁·o₂ = outputs, i₁·i₂ = inputs."""
    return sum(_one(linear, options.rank) for linear in adapted(shape, options.targets))


def _one(linear: Linear, rank: int) -> int:
    (outer, outputs), (inner, inputs) = nearest_to_square(linear.outputs), nearest_to_square(linear.inputs)
    whole = rank >= max(outputs, inputs) / 2
    return outer * inner + (outputs * inputs if whole else rank * (outputs + inputs))


def nearest_to_square(number: int) -> tuple[int, int]:
    """Its two factors nearest to each other, the smaller one first."""
    small = next(each for each in range(math.isqrt(number), 0, -1) if number % each == 0)
    return small, number // small


def learning_rate(shape: Shape, task: Task, steps: int, options: LokrOptions) -> float:
    """1e-3, ten times as much for small models in short trainings."""
    return raised_for_small(1e-3, 10, shape, steps)


def check(shape: Shape, options: LokrOptions) -> None:
    check_rank(check_targets(shape, options.targets), options.rank)


METHOD = Method(
    name="lokr",
    title="LoKr",
    family="reparameterization",
    summary=(
        "Writes the delta of each layer as the Kronecker product of a small matrix and a low-rank one: high rank for "
        "very few parameters. The whole delta is built in every forward pass."
    ),
    choose_when="When the delta must be much smaller than LoRA's.",
    inference_cost="The delta is built anew at each call, so merge it before serving; nothing once merged.",
    paper="Edalati et al., KronA: Parameter Efficient Tuning with Kronecker Adapter, 2022, arXiv:2212.10650",
    formula="W·x + (α/r)·(C ⊗ (B·A))·x, C zero at the start",
    options=LokrOptions,
    tasks=("text-classification", "causal-lm", "seq2seq"),
    servable=("peft",),
    count=count,
    learning_rate=learning_rate,
    check=check,
    why_not=lambda shape, task: unknown_layers(shape) or transposed_layers(shape),
)
