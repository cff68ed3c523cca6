"""Head only, plain half: the frozen network's features and a new classification head; the lower yardstick."""

from __future__ import annotations

from dataclasses import dataclass

from workers.methods.method import Method
from workers.methods.options import Options
from workers.methods.shape import Shape
from workers.protocol import Task


@dataclass(frozen=True)
class HeadOptions(Options):
    """There is nothing to choose beyond the training itself."""


def count(shape: Shape, options: HeadOptions) -> int:
    """Nothing besides the head."""
    return 0


def learning_rate(shape: Shape, task: Task, steps: int, options: HeadOptions) -> float:
    return 1e-3


def check(shape: Shape, options: HeadOptions) -> None:
    """Works on every base model that can classify."""


METHOD = Method(
    name="head",
    title="Head only",
    family="specification",
    summary=(
        "Trains the new classification head and nothing of the base model. It shows what the frozen network knows "
        "already: a delta method has to beat it."
    ),
    choose_when="As the lower yardstick, or where every forward pass but the last layer's must be shared.",
    inference_cost="None.",
    shortfall=(
        "It reaches 19 % of full fine-tuning's gain on the starter encoder in 125 steps: nothing below the head "
        "learns. It is the floor that every other method is held against."
    ),
    paper="Devlin et al., BERT: Pre-training of Deep Bidirectional Transformers, 2019, arXiv:1810.04805",
    formula="C·f(x) + c, only C and c trained",
    options=HeadOptions,
    tasks=("text-classification",),
    elsewhere=(
        "A language model brings its head along, so there is no new one to train; often that head is the table of "
        "embeddings, and training it would move what the frozen network reads."
    ),
    servable=("transformers",),
    count=count,
    learning_rate=learning_rate,
    check=check,
)
