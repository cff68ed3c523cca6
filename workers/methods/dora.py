"""DoRA, plain half: LoRA on the direction of each weight, its length learnt beside it (Liu et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass

from workers.methods.method import Method
from workers.methods.options import Options, option
from workers.methods.shape import ROLES, Shape
from workers.methods.sizes import raised_for_small
from workers.methods.targets import TARGETS_HELP, adapted, check_rank, check_targets, unknown_layers
from workers.protocol import Task


@dataclass(frozen=True)
class DoraOptions(Options):
    """What DoRA lets you choose."""

    rank: int = option(
        16, "Width of the two small matrices; more learns more and weighs more.", minimum=1, maximum=4096
    )
    alpha: float = option(32, "Strength of the delta: it is scaled by alpha / rank.", minimum=0.01, maximum=65536)
    dropout: float = option(0.0, "Share of the delta's inputs dropped while training.", minimum=0, maximum=0.9)
    targets: tuple[str, ...] = option(ROLES, TARGETS_HELP, choices=ROLES)


def count(shape: Shape, options: DoraOptions) -> int:
    """r · (inputs + outputs) + outputs, summed over the adapted linears."""
    return sum(
        options.rank * (linear.inputs + linear.outputs) + linear.outputs for linear in adapted(shape, options.targets)
    )


def learning_rate(shape: Shape, task: Task, steps: int, options: DoraOptions) -> float:
    """As LoRA."""
    return raised_for_small(2e-4, 10, shape, steps, at_most=5)


def check(shape: Shape, options: DoraOptions) -> None:
    check_rank(check_targets(shape, options.targets), options.rank)


METHOD = Method(
    name="dora",
    title="DoRA",
    family="reparameterization",
    summary=(
        "LoRA that learns the length of each weight vector apart from its direction. Often a little better than LoRA "
        "at small ranks; training is slower, and unmerged it answers several times slower."
    ),
    choose_when="When LoRA at a small rank falls just short, and the delta will be merged before it serves.",
    inference_cost="About eight times as long per token unmerged, so merge it before serving; nothing once merged.",
    paper="Liu et al., DoRA: Weight-Decomposed Low-Rank Adaptation, 2024, arXiv:2402.09353",
    formula="m · (W + s·B·A) / ‖W + s·B·A‖, m = ‖W‖ and B = 0 at the start",
    options=DoraOptions,
    tasks=("text-classification", "causal-lm", "seq2seq"),
    servable=("peft",),
    count=count,
    learning_rate=learning_rate,
    check=check,
    why_not=lambda shape, task: unknown_layers(shape),
)
