"""Optimizer and learning-rate schedule of every method."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from workers.methods.hyperparameters import Training
from workers.methods.schedule import factor
from workers.training.methods.equipping import Care


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
    """As `workers.methods.schedule` says."""
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda done: factor(training, total_steps, done))
