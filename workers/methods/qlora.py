"""QLoRA, plain half: LoRA on a base model that is kept in 4 bits (Dettmers et al. 2023)."""

from __future__ import annotations

from dataclasses import dataclass

from workers.methods.method import CAUSAL_ONLY, Method
from workers.methods.options import Options, option
from workers.methods.shape import ROLES, Shape
from workers.methods.sizes import raised_for_small
from workers.methods.targets import (
    TARGETS_HELP,
    adapted,
    check_rank,
    check_targets,
    unknown_layers,
)
from workers.protocol import Task

BLOCK = 64
"""Weights that are packed together, and share a scale."""


@dataclass(frozen=True)
class QloraOptions(Options):
    """What QLoRA lets you choose."""

    rank: int = option(
        16, "Width of the two small matrices; more learns more and weighs more.", minimum=1, maximum=4096
    )
    alpha: float = option(32, "Strength of the delta: it is scaled by alpha / rank.", minimum=0.01, maximum=65536)
    dropout: float = option(0.0, "Share of the delta's inputs dropped while training.", minimum=0, maximum=0.9)
    targets: tuple[str, ...] = option(ROLES, TARGETS_HELP, choices=ROLES)


def count(shape: Shape, options: QloraOptions) -> int:
    """As LoRA: r · (inputs + outputs), summed over the adapted linears."""
    return sum(options.rank * (linear.inputs + linear.outputs) for linear in adapted(shape, options.targets))


def learning_rate(shape: Shape, task: Task, steps: int, options: QloraOptions) -> float:
    """As LoRA."""
    return raised_for_small(2e-4, 10, shape, steps, at_most=5)


def check(shape: Shape, options: QloraOptions) -> None:
    check_rank(check_targets(shape, options.targets), options.rank)


def unpackable_layers(shape: Shape) -> str:
    """Why this base model is not kept in 4 bits; '' where it is.

    Blocks that reach over the end of a row are read back with the wrong scales on CPUs with AVX-512 where rows are a
    multiple of 16 (bitsandbytes 0.50), and its faster inference on some of them fails with every such row.
    """
    linear = next((linear for linear in shape.linears if linear.inputs % BLOCK), None)
    if linear is None:
        return ""
    return (
        f"In 4 bits, {BLOCK} weights are packed together, and the rows of `{linear.name}` are {linear.inputs:,} wide, "
        f"no multiple of {BLOCK}, which some CPUs read back wrongly; LoRA trains this base model unpacked."
    )


METHOD = Method(
    name="qlora",
    title="QLoRA",
    family="reparameterization",
    summary=(
        "LoRA on a base model whose weights are kept in 4 bits (nf4, doubly quantised): about a quarter of the memory "
        "that half precision takes, slower per step. Needs the bitsandbytes package on the worker. The delta fits the "
        "unquantised base model too, and is merged into that one only."
    ),
    choose_when="When the base model does not fit into the memory otherwise.",
    inference_cost="The quantised base answers more slowly; merged into the base in full precision, nothing.",
    paper="Dettmers et al., QLoRA: Efficient Finetuning of Quantized LLMs, 2023, arXiv:2305.14314",
    formula="nf4(W)·x + (α/r)·B·A·x, B zero at the start",
    options=QloraOptions,
    tasks=("text-classification", "causal-lm", "seq2seq"),
    servable=("peft", "vllm"),
    serving=CAUSAL_ONLY,
    count=count,
    learning_rate=learning_rate,
    check=check,
    why_not=lambda shape, task: unknown_layers(shape) or unpackable_layers(shape),
    quantize="nf4",
)
