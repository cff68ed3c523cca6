"""What the two bottleneck adapters share: how many parameters one has, why it cannot be merged, its learning rate."""

from __future__ import annotations

from workers.methods.options import OptionsError
from workers.methods.shape import Linear, Shape
from workers.methods.sizes import raised_for_small

USUAL_BOTTLENECK = 64
BOTTLENECK_HELP = "Width of the bottleneck; more learns more and weighs more."
SCALE_HELP = "Factor on what the adapter adds."
NOT_MERGEABLE = (
    "An adapter bends what goes through it (GELU between its two layers), and no change of the base model's weights "
    "does the same."
)


def behind(shape: Shape, roles: tuple[str, ...]) -> tuple[Linear, ...]:
    """The linears that get an adapter behind them."""
    return tuple(linear for linear in shape.linears if linear.role in roles)


def adapter_parameters(shape: Shape, roles: tuple[str, ...], bottleneck: int) -> int:
    """2·d·m + d + m for each adapter."""
    return sum(2 * linear.outputs * bottleneck + linear.outputs + bottleneck for linear in behind(shape, roles))


def check_bottleneck(shape: Shape, roles: tuple[str, ...], bottleneck: int) -> None:
    """Refuses a bottleneck that is wider than what goes through it; the start value works on every base model."""
    width = min((linear.outputs for linear in behind(shape, roles)), default=shape.hidden)
    largest = max(width, USUAL_BOTTLENECK)
    if bottleneck > largest:
        raise OptionsError(
            "bottleneck",
            f"A bottleneck of {bottleneck:,} is none on this base model: what goes through it is {width:,} wide.",
            f"Use {largest:,} or less; {USUAL_BOTTLENECK} is usual.",
        )


def adapter_rate(shape: Shape, steps: int, at_most: float) -> float:
    """3e-4 on encoders, 1e-4 on decoders; up to so many times as much for small models in short trainings."""
    return raised_for_small(1e-4 if shape.is_decoder else 3e-4, 10, shape, steps, at_most)
