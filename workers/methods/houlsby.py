"""Houlsby adapter, plain half: a bottleneck behind attention and one behind the feed-forward network of each block."""

from __future__ import annotations

from dataclasses import dataclass

from workers.methods.adapters import (
    BOTTLENECK_HELP,
    NOT_MERGEABLE,
    SCALE_HELP,
    USUAL_BOTTLENECK,
    adapter_parameters,
    adapter_rate,
    check_bottleneck,
)
from workers.methods.method import Method
from workers.methods.options import Options, option
from workers.methods.shape import Shape
from workers.methods.targets import unknown_layers
from workers.protocol import Task

ROLES_BEFORE = ("o", "down")
"""Adapters stand behind these layers, before the residual is added."""


@dataclass(frozen=True)
class HoulsbyOptions(Options):
    """What the Houlsby adapter lets you choose."""

    bottleneck: int = option(USUAL_BOTTLENECK, BOTTLENECK_HELP, minimum=1, maximum=16384)
    scale: float = option(1.0, SCALE_HELP, minimum=0.001, maximum=100, advanced=True)
    train_norms: bool = option(False, "Also train the normalisation layers, as the paper does.")


def count(shape: Shape, options: HoulsbyOptions) -> int:
    """2dm + d + m for each adapter, two in a block (three in a decoder that also looks at an encoder)."""
    norms = sum(norm.width * (1 + norm.bias) for norm in shape.norms)
    return added(shape, options) + norms * options.train_norms


def added(shape: Shape, options: HoulsbyOptions) -> int:
    """Without the norms, which the base model has already."""
    return adapter_parameters(shape, ROLES_BEFORE, options.bottleneck)


def learning_rate(shape: Shape, task: Task, steps: int, options: HoulsbyOptions) -> float:
    return adapter_rate(shape, steps, at_most=10 / 3)


def check(shape: Shape, options: HoulsbyOptions) -> None:
    check_bottleneck(shape, ROLES_BEFORE, options.bottleneck)


METHOD = Method(
    name="houlsby",
    title="Houlsby adapter",
    family="addition",
    summary=(
        "Puts two small networks into every block, one behind attention and one behind the feed-forward network; "
        "each adds a little to what goes through it and starts near doing nothing. Close to full fine-tuning, and the "
        "base model's own weights stay untouched."
    ),
    choose_when="When the base model must not change at all, and a little time per token is no matter.",
    inference_cost="About a fifth more time per token; it cannot be merged away.",
    paper="Houlsby et al., Parameter-Efficient Transfer Learning for NLP, 2019, arXiv:1902.00751",
    formula="h + s·(U·gelu(D·h + b₁) + b₂), U and D near zero at the start",
    options=HoulsbyOptions,
    tasks=("text-classification", "causal-lm", "seq2seq"),
    servable=("transformers",),
    count=count,
    added=added,
    learning_rate=learning_rate,
    check=check,
    not_mergeable=NOT_MERGEABLE,
    why_not=lambda shape, task: unknown_layers(shape),
)
