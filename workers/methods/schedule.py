"""The learning rate over a training as plain arithmetic: the trainer follows it, a page draws it beforehand."""

from __future__ import annotations

import math
from collections.abc import Callable

from workers.methods.hyperparameters import Training

CLIP_NORM = 1.0
"""A gradient with a larger norm is scaled down to this one."""
FALLS: dict[str, Callable[[float], float]] = {
    "linear": lambda share: 1 - share,
    "cosine": lambda share: (1 + math.cos(math.pi * share)) / 2,
    "constant": lambda share: 1.0,
}
"""Factor of the peak rate by the share of the steps after the warm-up that are done."""


def warmup_steps(training: Training, total_steps: int) -> int:
    return round(training.warmup * total_steps)


def factor(training: Training, total_steps: int, done: int) -> float:
    """Of the peak rate, for the step after `done` ones: it rises linearly, then falls, reaching 0 only after the last.

    The library's own schedules spend the first step at a rate of 0: in a training of 30 steps, one step for nothing.
    """
    step, rising = done + 1, warmup_steps(training, total_steps)
    if step <= rising:
        return step / rising
    return FALLS[training.scheduler]((step - rising - 1) / (total_steps + 1 - rising))
