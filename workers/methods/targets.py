"""Which linear layers a delta sits on, chosen by what they do: the option that many methods share, and its checks."""

from __future__ import annotations

from workers.methods.options import OptionsError
from workers.methods.shape import ROLES, Linear, Shape

TARGETS_HELP = (
    "Linear layers that get a delta: attention q, k, v, o and feed-forward up, gate, down; all of them mean every "
    "one there is."
)
USUAL_RANKS = "8 to 64 is usual"


def is_target(role: str, targets: tuple[str, ...]) -> bool:
    """Whether a linear of this role gets a delta."""
    return role in targets or (role == "qkv" and bool({"q", "k", "v"} & set(targets)))


def adapted(shape: Shape, targets: tuple[str, ...]) -> tuple[Linear, ...]:
    """The linears that get a delta; asking for q, k or v takes the whole of a fused one."""
    return tuple(linear for linear in shape.linears if is_target(linear.role, targets))


def check_targets(shape: Shape, targets: tuple[str, ...]) -> tuple[Linear, ...]:
    """The linears that get a delta. Raises OptionsError, naming those that exist, where a chosen kind does not.

    All kinds together, the default of many methods, mean every known linear that there is.
    """
    chosen, existing = adapted(shape, targets), existing_roles(shape)
    missing = [role for role in targets if role not in existing]
    if chosen and (not missing or set(targets) == set(ROLES)):
        return chosen
    message = f"This base model ({shape.model_type}) has no linear layer of the kind {', '.join(missing)}."
    raise OptionsError("targets", message, existing_targets(shape))


def existing_roles(shape: Shape) -> list[str]:
    """The kinds of linear layers that can be chosen on this base model."""
    return [role for role in ROLES if any(is_target(linear.role, (role,)) for linear in shape.linears)]


def existing_targets(shape: Shape) -> str:
    """Which roles this base model has, as a hint."""
    existing = existing_roles(shape)
    if not existing:
        return "None of its layers is known here; choose full fine-tuning."
    return f"Choose of those it has: {', '.join(existing)}."


def check_rank(chosen: tuple[Linear, ...], rank: int, field: str = "rank") -> None:
    """Refuses a rank that the narrowest of the layers cannot hold."""
    narrowest = min(chosen, key=lambda linear: min(linear.inputs, linear.outputs))
    width = min(narrowest.inputs, narrowest.outputs)
    if rank > width:
        raise OptionsError(
            field,
            f"Rank {rank:,} is more than `{narrowest.name}` can hold: it is {width:,} wide.",
            f"Use a rank of {width:,} or less; {USUAL_RANKS}.",
        )


def unknown_layers(shape: Shape) -> str:
    """Why a method that works on known linear layers is not for this base model; '' where it is."""
    if any(linear.role != "other" for linear in shape.linears):
        return ""
    return f"The layers of this architecture ({shape.model_type}) are not known here by what they do."


def transposed_layers(shape: Shape) -> str:
    """Why a method that cannot work on transposed linear layers is not for this base model; '' where it is."""
    if any(linear.transposed for linear in shape.linears):
        return (
            f"This architecture ({shape.model_type}) keeps its weights transposed, which this method does not handle."
        )
    return ""
