"""Intrinsic dimension, plain half: every weight moves, but only within a random subspace of few dimensions."""

from __future__ import annotations

from dataclasses import dataclass

from workers.methods.hyperparameters import Training
from workers.methods.method import Method
from workers.methods.options import Options, OptionsError, option
from workers.methods.shape import Shape
from workers.protocol import Task


@dataclass(frozen=True)
class IntrinsicDimensionOptions(Options):
    """What the method lets you choose."""

    dimension: int = option(1000, "Numbers that are trained, whatever the size of the base model.", minimum=2)
    structure_aware: bool = option(
        True, "SAID: one learnt factor for each block, out of the same numbers; without it, DID."
    )
    include_embeddings: bool = option(
        False, "Also move the embeddings and a language model's output layer; takes much more time.", advanced=True
    )


def groups(shape: Shape, options: IntrinsicDimensionOptions) -> int:
    """Learnt factors of SAID: one for each block, one for what stands outside, one for embeddings where they move."""
    return len(shape.blocks) + 1 + options.include_embeddings if options.structure_aware else 0


def count(shape: Shape, options: IntrinsicDimensionOptions) -> int:
    """The dimension; the factors of SAID are part of it. A classification head trains outside the subspace."""
    return options.dimension


def learning_rate(shape: Shape, task: Task, steps: int, options: IntrinsicDimensionOptions) -> float:
    return 1e-2


def check(shape: Shape, options: IntrinsicDimensionOptions) -> None:
    factors = groups(shape, options)
    if options.dimension <= factors:
        raise OptionsError(
            "dimension",
            f"Of {options.dimension:,} numbers, {factors:,} are the factors of the blocks, and none is left.",
            f"Use {factors + 1:,} or more; hundreds to thousands are usual.",
        )
    if options.dimension > shape.parameters:
        raise OptionsError(
            "dimension",
            f"`dimension` is {options.dimension:,}, more than the {shape.parameters:,} parameters of the base model.",
            "Use fewer, or choose full fine-tuning.",
        )


def check_training(shape: Shape, options: IntrinsicDimensionOptions, training: Training, steps: int) -> None:
    if training.gradient_checkpointing:
        raise OptionsError(
            "gradient_checkpointing",
            "The weights are made anew for every step, and gradient checkpointing would compute again with other ones.",
            "Turn it off, or choose another method.",
        )


def why_not(shape: Shape, task: Task) -> str:
    return "" if shape.blocks else f"The blocks of this architecture ({shape.model_type}) are not known here."


METHOD = Method(
    name="intrinsic_dimension",
    title="Intrinsic dimension",
    family="reparameterization",
    summary=(
        "Trains some hundred or thousand numbers, which a fixed random projection (Fastfood) turns into a change of "
        "every weight. It measures how many dimensions a task really needs, and its delta weighs some kilobytes; "
        "training is slow and takes ten epochs and more."
    ),
    choose_when="To measure how hard a task is for a base model, or for the very smallest deltas.",
    inference_cost="None once merged.",
    shortfall=(
        "With 1,000 dimensions its defaults reach 86 % of full fine-tuning's gain on the starter encoder in 125 "
        "steps. That is its measure rather than its fault: the smallest dimension that reaches 90 % is what a study "
        "over the dimension looks for."
    ),
    paper="Aghajanyan et al., Intrinsic Dimensionality Explains Fine-Tuning, 2021, arXiv:2012.13255",
    formula="θ_D = θ₀ + λ·P(θ_d), P a Fastfood projection, θ_d = 0 at the start",
    options=IntrinsicDimensionOptions,
    tasks=("text-classification", "causal-lm", "seq2seq"),
    servable=("transformers",),
    count=count,
    learning_rate=learning_rate,
    check=check,
    why_not=why_not,
    check_training=check_training,
)
