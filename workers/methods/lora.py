"""LoRA, plain half: W + (α/r)·B·A beside frozen linear layers (Hu et al. 2021); options, exact count, start values."""

from __future__ import annotations

from dataclasses import dataclass

from workers.methods.method import CAUSAL_ONLY, Method
from workers.methods.options import Options, OptionsError, option
from workers.methods.shape import ROLES, Shape
from workers.methods.sizes import raised_for_small
from workers.methods.targets import TARGETS_HELP, adapted, check_rank, check_targets, unknown_layers
from workers.protocol import Task


@dataclass(frozen=True)
class LoraOptions(Options):
    """What LoRA lets you choose."""

    rank: int = option(
        16, "Width of the two small matrices; more learns more and weighs more.", minimum=1, maximum=4096
    )
    alpha: float = option(32, "Strength of the delta: it is scaled by alpha / rank.", minimum=0.01, maximum=65536)
    # Short trainings on small data gain nothing from dropout, and without it no second copy of the inputs is kept.
    dropout: float = option(0.0, "Share of the delta's inputs dropped while training.", minimum=0, maximum=0.9)
    targets: tuple[str, ...] = option(ROLES, TARGETS_HELP, choices=ROLES)
    use_rslora: bool = option(
        False, "rsLoRA: scale by alpha / √rank, so that large ranks keep learning.", advanced=True
    )
    lora_plus_ratio: float = option(
        1.0,
        "LoRA+: learning rate of B over that of A; 1 is plain LoRA, 16 is what LoRA+ proposes.",
        minimum=1,
        maximum=256,
        advanced=True,
    )
    start: str = option(
        "zero",
        "Where B·A starts: at zero, or (PiSSA) at the strongest singular directions of each weight, "
        "which are taken out of the frozen part.",
        choices=("zero", "pissa"),
        advanced=True,
    )


def count(shape: Shape, options: LoraOptions) -> int:
    """r · (inputs + outputs), summed over the adapted linears."""
    return sum(options.rank * (linear.inputs + linear.outputs) for linear in adapted(shape, options.targets))


def exported(shape: Shape, options: LoraOptions) -> int:
    """PiSSA is handed in as plain LoRA of twice the rank, which fits the untouched base model."""
    return count(shape, options) * (2 if options.start == "pissa" else 1)


def learning_rate(shape: Shape, task: Task, steps: int, options: LoraOptions) -> float:
    """2e-4, 1e-4 for PiSSA, whose start is not zero; five times as much for small models in short trainings."""
    return raised_for_small(1e-4 if options.start == "pissa" else 2e-4, 10, shape, steps, at_most=5)


def check(shape: Shape, options: LoraOptions) -> None:
    """Refuses targets that do not exist here and ranks that no layer can hold."""
    check_rank(check_targets(shape, options.targets), options.rank)
    if options.start == "pissa" and options.use_rslora:
        raise OptionsError("start", "PiSSA and rsLoRA scale the start differently.", "Choose one of them.")


METHOD = Method(
    name="lora",
    title="LoRA",
    family="reparameterization",
    summary=(
        "Freezes the base model and learns, beside its linear layers, the product of two small matrices. Usually as "
        "good as full fine-tuning at about one percent of the parameters; it can be merged into the base model, and "
        "then costs nothing when the model answers."
    ),
    choose_when="The default: start here, and hold other methods against it.",
    inference_cost="A few percent unmerged on q and v, about a fifth on all linear layers; nothing once merged.",
    paper="Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, 2021, arXiv:2106.09685",
    formula="W·x + (α/r)·B·A·x, B zero at the start",
    options=LoraOptions,
    tasks=("text-classification", "causal-lm", "seq2seq"),
    servable=("peft", "vllm"),
    serving=f"{CAUSAL_ONLY} A delta that started with PiSSA has twice its rank there.",
    count=count,
    exported=exported,
    learning_rate=learning_rate,
    check=check,
    why_not=lambda shape, task: unknown_layers(shape),
)
