"""Pfeiffer adapter, plain half: one bottleneck behind the feed-forward network of every block."""

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

ROLES_BEFORE = ("down",)
"""Adapters stand behind these layers, before the residual is added."""


@dataclass(frozen=True)
class PfeifferOptions(Options):
    """What the Pfeiffer adapter lets you choose."""

    bottleneck: int = option(USUAL_BOTTLENECK, BOTTLENECK_HELP, minimum=1, maximum=16384)
    scale: float = option(1.0, SCALE_HELP, minimum=0.001, maximum=100, advanced=True)


def count(shape: Shape, options: PfeifferOptions) -> int:
    """2dm + d + m in every block."""
    return adapter_parameters(shape, ROLES_BEFORE, options.bottleneck)


def learning_rate(shape: Shape, task: Task, steps: int, options: PfeifferOptions) -> float:
    return adapter_rate(shape, steps, at_most=20 / 3)


def check(shape: Shape, options: PfeifferOptions) -> None:
    check_bottleneck(shape, ROLES_BEFORE, options.bottleneck)


METHOD = Method(
    name="pfeiffer",
    title="Pfeiffer adapter",
    family="addition",
    summary=(
        "The Houlsby adapter with only the one behind the feed-forward network: half the parameters and half the "
        "price per token, at nearly the same quality."
    ),
    choose_when="When an adapter is wanted and the Houlsby adapter is too slow.",
    inference_cost="About a tenth more time per token; it cannot be merged away.",
    paper="Pfeiffer et al., AdapterFusion: Non-Destructive Task Composition, 2021, arXiv:2005.00247",
    formula="h + s·(U·gelu(D·h + b₁) + b₂), U and D near zero at the start",
    options=PfeifferOptions,
    tasks=("text-classification", "causal-lm", "seq2seq"),
    servable=("transformers",),
    count=count,
    learning_rate=learning_rate,
    check=check,
    not_mergeable=NOT_MERGEABLE,
    why_not=lambda shape, task: unknown_layers(shape),
)
