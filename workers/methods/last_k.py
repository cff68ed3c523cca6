"""Last-k, plain half: the last blocks train, everything before them is frozen."""

from __future__ import annotations

from dataclasses import dataclass

from workers.methods.method import Method
from workers.methods.options import Options, OptionsError, option
from workers.methods.shape import Shape
from workers.methods.sizes import LARGE_PARAMETERS, raised_for_small
from workers.protocol import Task


@dataclass(frozen=True)
class LastKOptions(Options):
    """What last-k lets you choose."""

    k: int = option(
        2, "So many blocks are trained, counted from the end (of the decoder, where there are two).", minimum=1
    )
    final_norm: bool = option(True, "Also train the normalisation behind the last block, where there is one.")
    pooler: bool = option(
        True, "Also train an encoder's pooler, where there is one; a classification head always trains."
    )
    head: bool = option(
        False,
        "Also train a language model's output layer, where it is not the table of embeddings itself; "
        "in classification the new head always trains.",
    )


def count(shape: Shape, options: LastKOptions) -> int:
    """The last blocks, the final norm and the pooler; an output layer trains beside them, see `trains_output`."""
    norms = sum(norm.width * (1 + norm.bias) for norm in shape.norms if norm.final)
    blocks = sum(shape.blocks[-options.k :])
    return blocks + norms * options.final_norm + shape.pooler * options.pooler


def learning_rate(shape: Shape, task: Task, steps: int, options: LastKOptions) -> float:
    """As full fine-tuning."""
    return raised_for_small(1e-5 if shape.parameters >= LARGE_PARAMETERS else 5e-5, 4, shape, steps)


def check(shape: Shape, options: LastKOptions) -> None:
    blocks, stack = shape.decoder_layers or len(shape.blocks), "decoder" if shape.decoder_layers else "base model"
    if options.k > blocks:
        raise OptionsError(
            "k",
            f"`k` is {options.k:,}, but the {stack} has {blocks:,} blocks.",
            f"Use {blocks:,} or less; to train nearly everything, choose full fine-tuning.",
        )
    if options.head and shape.tied_embeddings:
        raise OptionsError(
            "head",
            "The output layer of this base model is its table of embeddings, so training it would train those, too.",
            "Leave `head` off, or choose full fine-tuning; in classification the new head trains in any case.",
        )


def why_not(shape: Shape, task: Task) -> str:
    if shape.blocks:
        return ""
    return f"The blocks of this architecture ({shape.model_type}) are not known here, so there is no last one."


METHOD = Method(
    name="last_k",
    title="Last k layers",
    family="specification",
    summary=(
        "Trains the last blocks of the base model and freezes the rest. Nothing has to be kept of the frozen blocks "
        "for the backward pass, so of all methods it takes the least memory for activations."
    ),
    choose_when="When memory is what is short, or features of lower layers shall stay as they are.",
    inference_cost="None.",
    paper="Howard and Ruder, Universal Language Model Fine-tuning for Text Classification, 2018, arXiv:1801.06146",
    formula="θ = (θ₁ … θ_L₋ₖ frozen, θ_L₋ₖ₊₁ … θ_L trained)",
    options=LastKOptions,
    tasks=("text-classification", "causal-lm", "seq2seq"),
    servable=("transformers",),
    count=count,
    trains_output=lambda options: options.head,
    added=lambda shape, options: 0,
    learning_rate=learning_rate,
    check=check,
    why_not=why_not,
)
