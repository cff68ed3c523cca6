"""Full fine-tuning, plain half: every parameter moves; the yardstick that delta methods are held against."""

from __future__ import annotations

from dataclasses import dataclass

from workers.methods.method import CAUSAL_ONLY, Method
from workers.methods.options import Options
from workers.methods.shape import Shape
from workers.methods.sizes import LARGE_PARAMETERS, raised_for_small
from workers.protocol import Task


@dataclass(frozen=True)
class FullOptions(Options):
    """Full fine-tuning has nothing to choose beyond the training itself."""


def count(shape: Shape, options: FullOptions) -> int:
    """All parameters of the network, tied ones once."""
    return shape.parameters


def learning_rate(shape: Shape, task: Task, steps: int, options: FullOptions) -> float:
    """5e-5 below a billion parameters, 1e-5 from there; four times as much for small models in short trainings."""
    rate = 1e-5 if shape.parameters >= LARGE_PARAMETERS else 5e-5
    return raised_for_small(rate, 4, shape, steps)


def check(shape: Shape, options: FullOptions) -> None:
    """Works on every base model."""


METHOD = Method(
    name="full",
    title="Full fine-tuning",
    family="full",
    summary=(
        "Trains every parameter of the base model. It needs several times the memory of a delta method and leaves "
        "behind a whole model for each job; take it as the yardstick, or where the base model is small."
    ),
    choose_when="As the yardstick, or where the base model is small and memory is plenty.",
    inference_cost="None: the artifact is a whole model.",
    paper="Devlin et al., BERT: Pre-training of Deep Bidirectional Transformers, 2019, arXiv:1810.04805",
    formula="θ = θ₀ + Δθ, all of Δθ trained",
    options=FullOptions,
    tasks=("text-classification", "causal-lm", "seq2seq"),
    servable=("transformers", "vllm"),
    serving=CAUSAL_ONLY,
    count=count,
    trains_output=lambda options: True,
    learning_rate=learning_rate,
    check=check,
    not_mergeable="The artifact is a whole model already; there is nothing to merge.",
)
