"""Prefix tuning, plain half: learnt keys and values in front of every block's attention (Li and Liang 2021)."""

from __future__ import annotations

from dataclasses import dataclass

from workers.methods.hyperparameters import Training
from workers.methods.method import Method
from workers.methods.options import Options, OptionsError, option
from workers.methods.prompts import CARD_GENERATES, LENGTH_HELP, NOT_MERGEABLE, check_length
from workers.methods.shape import Shape
from workers.protocol import Task

ELSEWHERE = (
    "The peft library hands a prefix to a classifier under a name that transformers no longer knows, and refuses to go "
    "on."
)


@dataclass(frozen=True)
class PrefixTuningOptions(Options):
    """What prefix tuning lets you choose."""

    length: int = option(20, LENGTH_HELP, minimum=1, maximum=2048)
    mlp: bool = option(
        False,
        "Let a network make the prefix out of learnt tokens, as the paper does; it is only needed in training. "
        "Such a prefix cannot start at a text.",
    )
    width: int = option(512, "Width of that network.", minimum=1, maximum=16384)
    start: str = option(
        "text",
        "Where the prefix starts: at the keys and values that the base model has for a text, or at random numbers. "
        "In an encoder-decoder they are the decoder's, with the same text as its source.",
        choices=("text", "random"),
    )
    start_text: str = option(
        "", "The text to start at, repeated or cut to length; left out, the labels or a general request."
    )


def exported(shape: Shape, options: PrefixTuningOptions) -> int:
    """length · layers · 2 · width of keys and values; of an encoder-decoder, the layers of the decoder."""
    return options.length * prefixed_layers(shape) * 2 * shape.key_value


def prefixed_layers(shape: Shape) -> int:
    """Blocks whose attention gets a prefix."""
    return shape.decoder_layers or shape.layers


def count(shape: Shape, options: PrefixTuningOptions) -> int:
    """The table itself, or what makes it: P·kv + (kv·h + h) + (h·2L·kv + 2L·kv)."""
    if not options.mlp:
        return exported(shape, options)
    width, row = options.width, 2 * prefixed_layers(shape) * shape.key_value
    return options.length * shape.key_value + (shape.key_value * width + width) + (width * row + row)


def learning_rate(shape: Shape, task: Task, steps: int, options: PrefixTuningOptions) -> float:
    """5e-3, 1e-3 with the MLP."""
    return 1e-3 if options.mlp else 5e-3


def check(shape: Shape, options: PrefixTuningOptions) -> None:
    check_length(shape, options.length)


def why_not(shape: Shape, task: Task) -> str:
    if shape.decoder_layers and not any(linear.role == "k" for linear in shape.linears):
        return f"The attention of this architecture ({shape.model_type}) is not known here, so no prefix fits it."
    return ""


def check_training(shape: Shape, options: PrefixTuningOptions, training: Training, steps: int) -> None:
    if training.gradient_checkpointing:
        raise OptionsError(
            "gradient_checkpointing",
            "A prefix lives in the cache of keys and values, which gradient checkpointing cannot compute again.",
            "Turn it off, or choose another method.",
        )


METHOD = Method(
    name="prefix_tuning",
    title="Prefix tuning",
    family="addition",
    summary=(
        "Learns keys and values that every block's attention (in an encoder-decoder: the decoder's, to itself) sees in "
        "front of the text. Stronger than prompt tuning, since it reaches every block; how it starts matters much."
    ),
    choose_when="For generation from little data, where the weights must stay untouched.",
    inference_cost="A few percent: the prefix is attended to, but never computed again.",
    paper="Li and Liang, Prefix-Tuning: Optimizing Continuous Prompts for Generation, 2021, arXiv:2101.00190",
    formula="attention(q, [P_k; k], [P_v; v]) in every block, only P trained",
    options=PrefixTuningOptions,
    tasks=("causal-lm", "seq2seq"),
    servable=("peft",),
    serving=f"{CARD_GENERATES} In an encoder-decoder it answers rightly with those lines alone.",
    count=count,
    exported=exported,
    learning_rate=learning_rate,
    check=check,
    not_mergeable=NOT_MERGEABLE,
    positions=lambda shape, options: options.length,
    elsewhere=ELSEWHERE,
    why_not=why_not,
    check_training=check_training,
)
