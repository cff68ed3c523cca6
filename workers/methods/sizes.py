"""How learning rates depend on the size of the base model and the length of the training."""

from __future__ import annotations

import math

from workers.methods.shape import Shape

SMALL_PARAMETERS = 50_000_000
LARGE_PARAMETERS = 1_000_000_000
SHORT_STEPS = 150


def raised_for_small(rate: float, factor: float, shape: Shape, steps: int, at_most: float = math.inf) -> float:
    """`rate`, raised where the base model has less than 50 M parameters: times `factor` for short trainings.

    Small base models in short trainings stay at the majority class with the rates that papers give for large ones,
    and fall back to it with too high a rate in longer ones: beyond 150 steps the raise falls with their square root.
    `at_most`: no training is raised further, where a method is thrown back to the majority class even in short ones.
    """
    if shape.parameters >= SMALL_PARAMETERS:
        return rate
    return rate * max(1.0, min(at_most, factor * min(1.0, math.sqrt(SHORT_STEPS / steps))))
