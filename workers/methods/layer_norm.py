"""LayerNorm tuning, plain half: only the weights and biases of the normalisation layers train."""

from __future__ import annotations

from dataclasses import dataclass

from workers.methods.method import Method
from workers.methods.options import Options
from workers.methods.shape import Shape
from workers.protocol import Task


@dataclass(frozen=True)
class LayerNormOptions(Options):
    """There is nothing to choose beyond the training itself."""


def count(shape: Shape, options: LayerNormOptions) -> int:
    """A weight, and where there is one a bias, for each place of each norm."""
    return sum(norm.width * (1 + norm.bias) for norm in shape.norms)


def learning_rate(shape: Shape, task: Task, steps: int, options: LayerNormOptions) -> float:
    """1e-3: a tenth of it teaches nothing."""
    return 1e-3


def check(shape: Shape, options: LayerNormOptions) -> None:
    """There is nothing to choose."""


def why_not(shape: Shape, task: Task) -> str:
    return "" if shape.norms else f"No normalisation layer of this architecture ({shape.model_type}) is known here."


METHOD = Method(
    name="layer_norm",
    title="LayerNorm tuning",
    family="specification",
    summary=(
        "Trains the scales and shifts of the normalisation layers, the smallest set of weights that reaches every "
        "block. The delta weighs some kilobytes."
    ),
    choose_when="For the smallest deltas of a base model, also on decoders without biases.",
    inference_cost="None.",
    shortfall=(
        "Its defaults reach 55 % of full fine-tuning's gain on the starter encoder in 125 steps: it trains 0.05 % of "
        "the parameters, and scales alone need more steps."
    ),
    paper="Zhao et al., Tuning LayerNorm in Attention, 2023, arXiv:2312.11420",
    formula="γ·norm(x) + β, only γ and β trained",
    options=LayerNormOptions,
    tasks=("text-classification", "causal-lm", "seq2seq"),
    servable=("transformers",),
    count=count,
    added=lambda shape, options: 0,
    learning_rate=learning_rate,
    check=check,
    why_not=why_not,
)
