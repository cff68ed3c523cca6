"""LoHa, plain half: the elementwise product of two low-rank products (Hyeon-Woo et al. 2022)."""

from __future__ import annotations

from dataclasses import dataclass

from workers.methods.method import Method
from workers.methods.options import Options, option
from workers.methods.shape import ROLES, Shape
from workers.methods.sizes import raised_for_small
from workers.methods.targets import (
    TARGETS_HELP,
    adapted,
    check_rank,
    check_targets,
    transposed_layers,
    unknown_layers,
)
from workers.protocol import Task


@dataclass(frozen=True)
class LohaOptions(Options):
    """What LoHa lets you choose."""

    rank: int = option(8, "Rank of each of the two products; together they reach its square.", minimum=1, maximum=4096)
    alpha: float = option(16, "Strength of the delta: it is scaled by alpha / rank.", minimum=0.01, maximum=65536)
    targets: tuple[str, ...] = option(("q", "v"), TARGETS_HELP, choices=ROLES)


def count(shape: Shape, options: LohaOptions) -> int:
    """2r · (inputs + outputs), summed over the adapted linears."""
    return sum(2 * options.rank * (linear.inputs + linear.outputs) for linear in adapted(shape, options.targets))


def learning_rate(shape: Shape, task: Task, steps: int, options: LohaOptions) -> float:
    """5e-4, ten times as much for small models in short trainings."""
    return raised_for_small(5e-4, 10, shape, steps)


def check(shape: Shape, options: LohaOptions) -> None:
    check_rank(check_targets(shape, options.targets), options.rank)


METHOD = Method(
    name="loha",
    title="LoHa",
    family="reparameterization",
    summary=(
        "Multiplies two low-rank products entry by entry: the delta reaches the square of the rank at twice the "
        "parameters of LoRA. The whole delta is built in every forward pass, so training is slower."
    ),
    choose_when="When a delta of higher rank than LoRA's is wanted at the same size.",
    inference_cost="The delta is built anew at each call, so merge it before serving; nothing once merged.",
    paper="Hyeon-Woo et al., FedPara: Low-rank Hadamard Product, 2022, arXiv:2108.06098",
    formula="W·x + (α/r)·((B₁·A₁) ⊙ (B₂·A₂))·x, one factor zero at the start",
    options=LohaOptions,
    tasks=("text-classification", "causal-lm", "seq2seq"),
    servable=("peft",),
    count=count,
    learning_rate=learning_rate,
    check=check,
    why_not=lambda shape, task: unknown_layers(shape) or transposed_layers(shape),
)
