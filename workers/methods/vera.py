"""VeRA, plain half: two small vectors per layer scale shared random matrices (Kopiczko et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass

from workers.methods.method import Method
from workers.methods.options import Options, OptionsError, option
from workers.methods.shape import ROLES, Shape
from workers.methods.sizes import raised_for_small
from workers.methods.targets import TARGETS_HELP, adapted, check_targets, unknown_layers
from workers.protocol import Task

WIDEST_ON_SMALL = 1024
"""VeRA works with ranks that LoRA cannot hold, and its paper goes up to here; beyond, wider base models alone gain."""


@dataclass(frozen=True)
class VeraOptions(Options):
    """What VeRA lets you choose."""

    rank: int = option(256, "Width of the random matrices; they are not trained.", minimum=1, maximum=16384)
    dropout: float = option(0.0, "Share of the delta's inputs dropped while training.", minimum=0, maximum=0.9)
    targets: tuple[str, ...] = option(("q", "v"), TARGETS_HELP, choices=ROLES)


def count(shape: Shape, options: VeraOptions) -> int:
    """r + outputs for each adapted linear."""
    return sum(options.rank + linear.outputs for linear in adapted(shape, options.targets))


def exported(shape: Shape, options: VeraOptions) -> int:
    """With the two random matrices, as wide as the widest layer: the artifact then needs no random generator."""
    chosen = adapted(shape, options.targets)
    widest = max(linear.inputs for linear in chosen) + max(linear.outputs for linear in chosen)
    return count(shape, options) + options.rank * widest


def learning_rate(shape: Shape, task: Task, steps: int, options: VeraOptions) -> float:
    """1e-3, thirty times as much for small models in short trainings: it trains two vectors a layer."""
    return raised_for_small(1e-3, 30, shape, steps)


def check(shape: Shape, options: VeraOptions) -> None:
    check_targets(shape, options.targets)
    largest = max(shape.hidden, WIDEST_ON_SMALL)
    if options.rank > largest:
        raise OptionsError(
            "rank",
            f"Rank {options.rank:,} is more than VeRA can use on a base model that is {shape.hidden:,} wide.",
            f"Use {largest:,} or less; 256 is usual.",
        )


METHOD = Method(
    name="vera",
    title="VeRA",
    family="reparameterization",
    summary=(
        "All layers share one pair of frozen random matrices; each learns only two vectors that scale them. Far fewer "
        "trained parameters than LoRA; the artifact also holds the random matrices, so that it loads anywhere."
    ),
    choose_when="When few parameters must be trained, at a rank that LoRA could not afford.",
    inference_cost="About a seventh unmerged; nothing once merged.",
    shortfall=(
        "Its defaults reach 88 % of full fine-tuning's gain on the starter encoder in 125 steps: two vectors a layer "
        "steer fixed random matrices, and a higher rate throws it back. Longer trainings or a higher rank come "
        "closer."
    ),
    paper="Kopiczko et al., VeRA: Vector-based Random Matrix Adaptation, 2024, arXiv:2310.11454",
    formula="W·x + Λ_b·B·Λ_d·A·x, A and B random and shared, b zero at the start",
    options=VeraOptions,
    tasks=("text-classification", "causal-lm", "seq2seq"),
    servable=("peft",),
    count=count,
    exported=exported,
    learning_rate=learning_rate,
    check=check,
    why_not=lambda shape, task: unknown_layers(shape),
)
