"""Prompt tuning, plain half: learnt embeddings in front of every text (Lester et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass

from workers.methods.method import Method
from workers.methods.options import Options, option
from workers.methods.prompts import CARD_GENERATES, LENGTH_HELP, NOT_MERGEABLE, check_length, last_token_classifiers
from workers.methods.shape import Shape
from workers.methods.sizes import raised_for_small
from workers.protocol import Task


@dataclass(frozen=True)
class PromptTuningOptions(Options):
    """What prompt tuning lets you choose."""

    length: int = option(20, LENGTH_HELP, minimum=1, maximum=2048)
    start: str = option(
        "text",
        "Where the embeddings start: at those of a text, of words drawn from the vocabulary, or at random numbers, "
        "from which small models hardly learn.",
        choices=("text", "vocabulary", "random"),
    )
    start_text: str = option(
        "", "The text to start at, repeated or cut to length; left out, the labels or a general request."
    )


def count(shape: Shape, options: PromptTuningOptions) -> int:
    """length · hidden."""
    return options.length * shape.hidden


def learning_rate(shape: Shape, task: Task, steps: int, options: PromptTuningOptions) -> float:
    """1e-3, thirty times as much for small models in short trainings; encoder-decoders want far more, 0.3."""
    return 0.3 if shape.decoder_layers else raised_for_small(1e-3, 30, shape, steps)


def check(shape: Shape, options: PromptTuningOptions) -> None:
    check_length(shape, options.length)


METHOD = Method(
    name="prompt_tuning",
    title="Prompt tuning",
    family="addition",
    summary=(
        "Learns some virtual tokens that stand in front of every text; the network itself stays as it is. The delta "
        "weighs some kilobytes, and requests with different prompts can share a batch. It learns slowly, and closes "
        "its gap to full fine-tuning only on large models."
    ),
    choose_when="For large base models that serve many tasks at once.",
    inference_cost="The virtual tokens are read with every text: a few percent per token, more for short texts.",
    shortfall=(
        "Its defaults reach 18 % of full fine-tuning's gain on the starter encoder in 125 steps. Lester et al. found "
        "the same: prompts come up to full fine-tuning only with billions of parameters."
    ),
    paper="Lester et al., The Power of Scale for Parameter-Efficient Prompt Tuning, 2021, arXiv:2104.08691",
    formula="f([p₁ … p_P; x]), only p trained",
    options=PromptTuningOptions,
    tasks=("text-classification", "causal-lm", "seq2seq"),
    servable=("peft",),
    serving=CARD_GENERATES,
    count=count,
    learning_rate=learning_rate,
    check=check,
    not_mergeable=NOT_MERGEABLE,
    positions=lambda shape, options: options.length,
    why_not=last_token_classifiers,
)
