"""Optimizer and learning-rate schedule of every method."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import get_scheduler

from workers.methods.hyperparameters import Training


def adamw(model: nn.Module, training: Training) -> torch.optim.AdamW:
    """AdamW over what trains; weight decay on matrices alone, never on biases, norms and other vectors."""
    trained = [each for each in model.parameters() if each.requires_grad]
    groups = [
        {"params": [each for each in trained if each.ndim >= 2], "weight_decay": training.weight_decay},
        {"params": [each for each in trained if each.ndim < 2], "weight_decay": 0.0},
    ]
    rate = training.learning_rate or 0.0
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=rate, fused=True)


def schedule(optimizer: Any, training: Training, total_steps: int) -> Any:
    """Rises linearly over the warm-up, then falls as `training.scheduler` says."""
    name = "constant_with_warmup" if training.scheduler == "constant" else training.scheduler
    warmup_steps = round(training.warmup * total_steps)
    return get_scheduler(name, optimizer, num_warmup_steps=warmup_steps, num_training_steps=total_steps)
