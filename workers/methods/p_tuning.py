"""P-tuning, plain half: virtual tokens that a small network makes out of learnt ones (Liu et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass

from workers.methods.method import Method
from workers.methods.options import Options, option
from workers.methods.prompts import CARD_GENERATES, LENGTH_HELP, NOT_MERGEABLE, check_length, last_token_classifiers
from workers.methods.shape import Shape
from workers.methods.sizes import raised_for_small
from workers.protocol import Task


@dataclass(frozen=True)
class PTuningOptions(Options):
    """What P-tuning lets you choose."""

    length: int = option(20, LENGTH_HELP, minimum=1, maximum=2048)
    width: int = option(
        128,
        "Width of the network that makes the virtual tokens; it is only needed in training.",
        minimum=1,
        maximum=16384,
    )


def count(shape: Shape, options: PTuningOptions) -> int:
    """P·d + (d·h + h) + (h² + h) + (h·d + d)."""
    hidden, width = shape.hidden, options.width
    network = (hidden * width + width) + (width * width + width) + (width * hidden + hidden)
    return options.length * hidden + network


def exported(shape: Shape, options: PTuningOptions) -> int:
    """The virtual tokens alone."""
    return options.length * shape.hidden


def learning_rate(shape: Shape, task: Task, steps: int, options: PTuningOptions) -> float:
    """1e-3, ten times as much for small models in short trainings."""
    return raised_for_small(1e-3, 10, shape, steps)


def check(shape: Shape, options: PTuningOptions) -> None:
    check_length(shape, options.length)


METHOD = Method(
    name="p_tuning",
    title="P-tuning",
    family="addition",
    summary=(
        "Prompt tuning whose virtual tokens come out of a small network, which makes them easier to learn. The "
        "artifact holds the finished tokens only; to train it further, resume the job."
    ),
    choose_when="When prompt tuning learns too slowly.",
    inference_cost="As prompt tuning.",
    shortfall=(
        "Its defaults reach 57 % of full fine-tuning's gain on the starter encoder in 125 steps: what stands before "
        "the text steers a small model weakly, which is known of all prompts."
    ),
    paper="Liu et al., GPT Understands, Too, 2021, arXiv:2103.10385",
    formula="f([MLP(p₁) … MLP(p_P); x]), p and the MLP trained",
    options=PTuningOptions,
    tasks=("text-classification", "causal-lm", "seq2seq"),
    servable=("peft",),
    serving=CARD_GENERATES,
    count=count,
    exported=exported,
    learning_rate=learning_rate,
    check=check,
    not_mergeable=NOT_MERGEABLE,
    positions=lambda shape, options: options.length,
    why_not=last_token_classifiers,
)
