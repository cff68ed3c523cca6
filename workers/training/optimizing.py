"""Optimizer and learning-rate schedule of every method."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn

from workers.methods.hyperparameters import Training

FALLS: dict[str, Callable[[float], float]] = {
    "linear": lambda share: 1 - share,
    "cosine": lambda share: (1 + math.cos(math.pi * share)) / 2,
    "constant": lambda share: 1.0,
}
"""Factor of the peak rate by the share of the steps after the warm-up that are done."""


def adamw(model: nn.Module, training: Training) -> torch.optim.AdamW:
    """AdamW over what trains; weight decay on matrices alone, never on biases, norms and other vectors."""
    trained = [each for each in model.parameters() if each.requires_grad]
    groups = [
        {"params": [each for each in trained if each.ndim >= 2], "weight_decay": training.weight_decay},
        {"params": [each for each in trained if each.ndim < 2], "weight_decay": 0.0},
    ]
    rate = training.learning_rate or 0.0
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=rate, fused=True)


def schedule(
    optimizer: torch.optim.Optimizer, training: Training, total_steps: int
) -> torch.optim.lr_scheduler.LambdaLR:
    """Rises linearly over the warm-up, then falls as `training.scheduler` says, reaching 0 only after the last step.

    The library's own schedules spend the first step at a rate of 0: in a training of 30 steps, one step for nothing.
    """
    warmup_steps = round(training.warmup * total_steps)

    def factor(done: int) -> float:
        step = done + 1
        if step <= warmup_steps:
            return step / warmup_steps
        return FALLS[training.scheduler]((step - warmup_steps - 1) / (total_steps + 1 - warmup_steps))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
