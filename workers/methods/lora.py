"""LoRA, plain half: W + (α/r)·B·A beside frozen linear layers (Hu et al. 2021); options, exact count, start values."""

from __future__ import annotations

from dataclasses import dataclass

from workers.methods.method import Method
from workers.methods.options import Options, OptionsError, option
from workers.methods.shape import ROLES, Linear, Shape
from workers.methods.sizes import raised_for_small
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
    targets: tuple[str, ...] = option(
        ROLES,
        "Linear layers that get a delta: attention q, k, v, o and feed-forward up, gate, down.",
        choices=ROLES,
    )
    use_rslora: bool = option(False, "Scale by alpha / √rank, so that large ranks keep learning.", advanced=True)


def adapted(shape: Shape, targets: tuple[str, ...]) -> tuple[Linear, ...]:
    """The linears that get a delta; asking for q, k or v takes the whole of a fused one."""
    return tuple(linear for linear in shape.linears if is_target(linear.role, targets))


def is_target(role: str, targets: tuple[str, ...]) -> bool:
    """Whether a linear of this role gets a delta."""
    return role in targets or (role == "qkv" and bool({"q", "k", "v"} & set(targets)))


def count(shape: Shape, options: LoraOptions) -> int:
    """r · (inputs + outputs), summed over the adapted linears."""
    return sum(options.rank * (linear.inputs + linear.outputs) for linear in adapted(shape, options.targets))


def learning_rate(shape: Shape, task: Task, steps: int) -> float:
    """2e-4; ten times as much for small models in short trainings."""
    return raised_for_small(2e-4, 10, shape, steps)


def check(shape: Shape, options: LoraOptions) -> None:
    """Refuses targets that do not exist here and ranks that no layer can hold."""
    chosen = adapted(shape, options.targets)
    if not chosen:
        raise OptionsError("targets", _nothing_to_adapt(shape, options), _existing_targets(shape))
    narrowest = min(chosen, key=lambda linear: min(linear.inputs, linear.outputs))
    width = min(narrowest.inputs, narrowest.outputs)
    if options.rank > width:
        raise OptionsError(
            "rank",
            f"Rank {options.rank:,} is more than `{narrowest.name}` can hold: it is {width:,} wide.",
            f"Use a rank of {width:,} or less; 8 to 64 is usual.",
        )


def _nothing_to_adapt(shape: Shape, options: LoraOptions) -> str:
    return f"This base model ({shape.model_type}) has no linear layer of the kind {', '.join(options.targets)}."


def _existing_targets(shape: Shape) -> str:
    existing = [role for role in ROLES if any(is_target(linear.role, (role,)) for linear in shape.linears)]
    if not existing:
        return "None of its layers is known to LoRA here; choose full fine-tuning."
    return f"Choose of those it has: {', '.join(existing)}."


METHOD = Method(
    name="lora",
    title="LoRA",
    family="reparameterization",
    summary=(
        "Freezes the base model and learns, beside its linear layers, the product of two small matrices. Usually as "
        "good as full fine-tuning at about one percent of the parameters; it can be merged into the base model, and "
        "then costs nothing when the model answers."
    ),
    paper="Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, 2021, arXiv:2106.09685",
    formula="W·x + (α/r)·B·A·x, B zero at the start",
    options=LoraOptions,
    tasks=("text-classification", "causal-lm"),
    mergeable=True,
    servable=("peft", "vllm"),
    count=count,
    learning_rate=learning_rate,
    check=check,
)
