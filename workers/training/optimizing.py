"""Optimizer and learning-rate schedule of every method."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn

from workers.methods.hyperparameters import Training
from workers.training.methods.equipping import Care

FALLS: dict[str, Callable[[float], float]] = {
    "linear": lambda share: 1 - share,
    "cosine": lambda share: (1 + math.cos(math.pi * share)) / 2,
    "constant": lambda share: 1.0,
}
"""Factor of the peak rate by the share of the steps after the warm-up that are done."""


def adamw(model: nn.Module, training: Training, care: Callable[[str], Care]) -> torch.optim.AdamW:
    """AdamW over what trains; weight decay on matrices alone, never on biases, norms and other vectors.

    `care` gives a parameter's own factor on the learning rate. The first group has the plain rate where any has.
    """
    rate = training.learning_rate or 0.0
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, each in model.named_parameters():
        if each.requires_grad:
            own = care(name)
            decay = training.weight_decay if own.decays and each.ndim >= 2 else 0.0
            groups.setdefault((own.rate, decay), []).append(each)
    parameters = [
        {"params": params, "lr": rate * factor, "weight_decay": decay}
        for (factor, decay), params in sorted(groups.items(), key=lambda item: (item[0][0], -item[0][1]))
    ]
    return torch.optim.AdamW(parameters, lr=rate, fused=True)


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
