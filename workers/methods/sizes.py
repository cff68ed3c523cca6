"""How learning rates depend on the size of the base model and the length of the training."""

from __future__ import annotations

from workers.methods.shape import Shape

SMALL_PARAMETERS = 50_000_000
LARGE_PARAMETERS = 1_000_000_000
LONG_STEPS = 1_000


def raised_for_small(rate: float, factor: float, shape: Shape, steps: int) -> float:
    """`rate` times `factor` where a base model below 50 M trains for at most 1,000 steps.

    Small base models in short trainings stay at the majority class with the rates that papers give for large ones.
    """
    small_and_short = shape.parameters < SMALL_PARAMETERS and steps <= LONG_STEPS
    return rate * factor if small_and_short else rate
