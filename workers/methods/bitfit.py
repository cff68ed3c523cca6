"""BitFit, plain half: only the biases train (Ben Zaken et al. 2022); a base model without any is given some."""

from __future__ import annotations

from dataclasses import dataclass

from workers.methods.method import Method
from workers.methods.options import Options, OptionsError, option
from workers.methods.shape import Shape
from workers.methods.sizes import raised_for_small
from workers.protocol import Task

MERGED_WITH_NEW_BIASES = ("llama",)
"""Architectures whose config can say that every linear layer has a bias."""


@dataclass(frozen=True)
class BitfitOptions(Options):
    """What BitFit lets you choose."""

    add_missing: bool = option(
        True,
        "Give every linear layer a bias, zero at the start, where the base model has no biases at all (Llama, T5); "
        "the paper knows only existing ones.",
    )


def existing(shape: Shape) -> int:
    """Biases that the base model has: of its linear layers, but the output layer's, and of its norms."""
    linears = sum(linear.outputs for linear in shape.linears if linear.bias and not shape.is_output(linear))
    return linears + sum(norm.width for norm in shape.norms if norm.bias)


def added(shape: Shape, options: BitfitOptions) -> int:
    """Biases that are new: none where there are some already."""
    if existing(shape):
        return 0
    return sum(linear.outputs for linear in shape.linears if not shape.is_output(linear))


def count(shape: Shape, options: BitfitOptions) -> int:
    """All existing biases, or one for each output of each linear layer."""
    return existing(shape) or added(shape, options)


def learning_rate(shape: Shape, task: Task, steps: int, options: BitfitOptions) -> float:
    """5e-4; ten times as much for small models in short trainings."""
    return raised_for_small(5e-4, 10, shape, steps)


def check(shape: Shape, options: BitfitOptions) -> None:
    """Without biases and without leave to add some there is nothing to train."""
    if not existing(shape) and not options.add_missing:
        raise OptionsError(
            "add_missing",
            f"This base model ({shape.model_type}) has no biases, so BitFit would train nothing.",
            "Turn `add_missing` on, or choose layer_norm.",
        )


def why_not_merged(shape: Shape, options: BitfitOptions) -> str:
    if existing(shape) or shape.model_type in MERGED_WITH_NEW_BIASES:
        return ""
    return (
        f"The biases are new, and a base model of the architecture {shape.model_type} has no place for them in its "
        "own files."
    )


METHOD = Method(
    name="bitfit",
    title="BitFit",
    family="specification",
    summary=(
        "Trains the bias vectors alone, about a thousandth of the parameters, and leaves every matrix as it is. "
        "A base model without biases (Llama, T5) is given one for each linear layer, zero at the start; "
        "that is then no longer the paper's BitFit, and it is called added biases."
    ),
    choose_when="For tiny deltas on encoders, or when many of them must be kept.",
    inference_cost="None; with added biases about a tenth.",
    paper="Ben Zaken et al., BitFit: Simple Parameter-efficient Fine-tuning, 2022, arXiv:2106.10199",
    formula="W·x + b, only b trained",
    options=BitfitOptions,
    tasks=("text-classification", "causal-lm", "seq2seq"),
    servable=("transformers",),
    count=count,
    added=added,
    learning_rate=learning_rate,
    check=check,
    why_not_merged=why_not_merged,
)
