"""AdaLoRA, plain half: LoRA whose ranks shrink where they matter least (Zhang et al. 2023)."""

from __future__ import annotations

from dataclasses import dataclass

from workers.methods.hyperparameters import Training
from workers.methods.method import Method
from workers.methods.options import Options, OptionsError, option
from workers.methods.shape import ROLES, Shape
from workers.methods.sizes import raised_for_small
from workers.methods.targets import TARGETS_HELP, adapted, check_rank, check_targets, unknown_layers
from workers.protocol import Task

FEWEST_STEPS = 4
"""Fewer leave no room for warming up, pruning and settling."""


@dataclass(frozen=True)
class AdaloraOptions(Options):
    """What AdaLoRA lets you choose."""

    initial_rank: int = option(12, "Rank of every layer at the start.", minimum=2, maximum=4096)
    target_rank: int = option(8, "Mean rank of the layers after pruning.", minimum=1, maximum=4096)
    alpha: float = option(32, "Strength of the delta.", minimum=0.01, maximum=65536)
    dropout: float = option(0.0, "Share of the delta's inputs dropped while training.", minimum=0, maximum=0.9)
    targets: tuple[str, ...] = option(ROLES, TARGETS_HELP, choices=ROLES)
    warm_up: float = option(0.1, "Share of the steps before the first pruning.", minimum=0, maximum=0.9, advanced=True)
    settling: float = option(0.3, "Share of the steps after the last pruning.", minimum=0, maximum=0.9, advanced=True)
    orthogonality: float = option(
        0.5, "Weight of the penalty that keeps the directions orthogonal.", minimum=0, maximum=100, advanced=True
    )


def count(shape: Shape, options: AdaloraOptions) -> int:
    """r · (inputs + outputs) + r at the initial rank, summed over the adapted linears; pruning sets some to zero."""
    rank = options.initial_rank
    return sum(rank * (linear.inputs + linear.outputs) + rank for linear in adapted(shape, options.targets))


def learning_rate(shape: Shape, task: Task, steps: int, options: AdaloraOptions) -> float:
    """1e-3, five times as much for small models in short trainings."""
    return raised_for_small(1e-3, 5, shape, steps)


def check(shape: Shape, options: AdaloraOptions) -> None:
    if options.target_rank >= options.initial_rank:
        raise OptionsError(
            "target_rank",
            f"`target_rank` is {options.target_rank:,}, not less than `initial_rank`: nothing would be pruned.",
            f"Use less than {options.initial_rank:,}, or choose LoRA.",
        )
    if options.warm_up + options.settling >= 1:
        raise OptionsError(
            "settling", "`warm_up` and `settling` together leave no steps to prune in.", "Let them sum to less than 1."
        )
    check_rank(check_targets(shape, options.targets), options.initial_rank, "initial_rank")


def phases(options: AdaloraOptions, steps: int) -> tuple[int, int]:
    """Steps before the first pruning, and steps after the last one."""
    return round(options.warm_up * steps), round(options.settling * steps)


def check_training(shape: Shape, options: AdaloraOptions, training: Training, steps: int) -> None:
    if steps < FEWEST_STEPS:
        raise OptionsError(
            "max_steps",
            f"AdaLoRA prunes while it trains, and this training has {steps:,} steps.",
            f"Train for {FEWEST_STEPS} steps or more.",
        )
    warming, settling = phases(options, steps)
    if warming + settling >= steps:
        raise OptionsError(
            "warm_up",
            f"Of {steps:,} steps, `warm_up` takes {warming:,} and `settling` {settling:,}: none is left to prune in.",
            "Lower one of the two, or train for more steps.",
        )


METHOD = Method(
    name="adalora",
    title="AdaLoRA",
    family="reparameterization",
    summary=(
        "LoRA written as singular values and directions. While it trains, the values that matter least are set to "
        "zero, so that layers which need more rank keep more. Needs to know the length of the training, and is "
        "slower to learn than LoRA."
    ),
    choose_when="When the delta must be small and it is not known which layers need it.",
    inference_cost="As LoRA; nothing once merged.",
    shortfall=(
        "Its defaults reach 84 % of full fine-tuning's gain on the starter encoder in 125 steps: of so few, most go "
        "by while ranks are still being pruned. It is made for longer trainings."
    ),
    paper="Zhang et al., AdaLoRA: Adaptive Budget Allocation, 2023, arXiv:2303.10512",
    formula="W·x + (α/r)·P·diag(λ)·Q·x, λ zero at the start, its least important values pruned",
    options=AdaloraOptions,
    tasks=("text-classification", "causal-lm", "seq2seq"),
    servable=("peft",),
    count=count,
    learning_rate=learning_rate,
    check=check,
    exported_at_most=True,
    why_not=lambda shape, task: unknown_layers(shape),
    check_training=check_training,
)
