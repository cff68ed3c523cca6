"""OFT, plain half: the inputs of a layer are rotated by a learnt block-orthogonal matrix (Qiu et al. 2023)."""

from __future__ import annotations

from dataclasses import dataclass

from workers.methods.method import Method
from workers.methods.options import Options, OptionsError, option
from workers.methods.shape import ROLES, Shape
from workers.methods.sizes import raised_for_small
from workers.methods.targets import TARGETS_HELP, adapted, check_targets, transposed_layers, unknown_layers
from workers.protocol import Task


@dataclass(frozen=True)
class OftOptions(Options):
    """What OFT lets you choose."""

    block_size: int = option(
        32, "Width of a rotated block; it must divide the inputs of each chosen layer.", minimum=2, maximum=4096
    )
    targets: tuple[str, ...] = option(("q", "v"), TARGETS_HELP, choices=ROLES)


def count(shape: Shape, options: OftOptions) -> int:
    """inputs / b blocks of b·(b-1)/2 angles for each adapted linear."""
    size = options.block_size
    return sum(linear.inputs // size * (size * (size - 1) // 2) for linear in adapted(shape, options.targets))


def learning_rate(shape: Shape, task: Task, steps: int, options: OftOptions) -> float:
    """1e-4, thirty times as much for small models in short trainings: rotations start at none."""
    return raised_for_small(1e-4, 30, shape, steps)


def check(shape: Shape, options: OftOptions) -> None:
    for linear in check_targets(shape, options.targets):
        if linear.inputs % options.block_size:
            raise OptionsError(
                "block_size",
                f"Blocks of {options.block_size:,} do not divide `{linear.name}`: it has {linear.inputs:,} inputs.",
                f"Use a divisor of {linear.inputs:,}, such as {largest_divisor(linear.inputs, options.block_size):,}.",
            )


def largest_divisor(number: int, at_most: int) -> int:
    """The largest divisor of a number that is no larger than a bound."""
    return next(each for each in range(min(number, at_most), 0, -1) if number % each == 0)


METHOD = Method(
    name="oft",
    title="OFT",
    family="reparameterization",
    summary=(
        "Rotates what goes into a layer, block by block, and leaves lengths and angles between neurons as they were. "
        "It forgets little of what the base model knew."
    ),
    choose_when="When the base model's abilities must survive the tuning.",
    inference_cost="About a third unmerged; nothing once merged.",
    paper="Qiu et al., Controlling Text-to-Image Diffusion by Orthogonal Finetuning, 2023, arXiv:2306.07280",
    formula="W·R·x, R block-orthogonal (Cayley), R = I at the start",
    options=OftOptions,
    tasks=("text-classification", "causal-lm", "seq2seq"),
    servable=("peft",),
    count=count,
    learning_rate=learning_rate,
    check=check,
    why_not=lambda shape, task: unknown_layers(shape) or transposed_layers(shape),
)
