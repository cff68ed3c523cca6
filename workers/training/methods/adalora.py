"""AdaLoRA, torch half: PEFT's own, with its pruning called by the loop (Zhang et al. 2023, arXiv:2303.10512).

    h = W·x + (α/r)·P·diag(λ)·Q·x      λ zero at the start; P and Q kept near orthogonal by a penalty in the loss

After every optimizer step the importance of each triplet is updated and the least important λ are set to zero, until
the mean rank is the target. The smoothed importance is part of a checkpoint.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import AdaLoraConfig

from workers.methods.adalora import AdaloraOptions, phases
from workers.protocol import JobSpec
from workers.training.methods.equipping import Equipment, Setting
from workers.training.methods.peft_native import equipped, export_native, load, merge, snippet, targets, transposed

SMOOTHED = ("ipt", "exp_avg_ipt", "exp_avg_unc")
"""What PEFT's allocator remembers of the importance of each parameter."""


def equip(network: Any, options: AdaloraOptions, setting: Setting) -> Any:
    warming, settling = phases(options, setting.total_steps)
    config = AdaLoraConfig(
        init_r=options.initial_rank,
        target_r=options.target_rank,
        lora_alpha=options.alpha,
        lora_dropout=options.dropout,
        orth_reg_weight=options.orthogonality,
        total_step=setting.total_steps,
        tinit=warming,
        tfinal=settling,
        fan_in_fan_out=transposed(network),
        target_modules=targets(network, options.targets),
    )
    model = equipped(network, config, setting.task)
    for name, each in model.named_parameters():
        if ".ranknum." in name:  # a divisor that never trains, and which PEFT thaws when it moves it to a device
            each.requires_grad_(False)
    return model


def values(model: Any) -> dict[str, torch.Tensor]:
    """The singular values λ of each layer, by the names that PEFT's allocator uses."""
    return {name: each for name, each in model.base_model.model.named_parameters() if ".lora_E." in name}


def export(model: Any, folder: Path, spec: JobSpec) -> None:
    """Without the pruned triplets. Which they are is read off these very weights: the best ones may be older than the
    last pruning."""
    config = model.peft_config["default"]
    config.rank_pattern = {name: (each != 0).view(-1).tolist() for name, each in values(model).items()}
    export_native(model, folder, spec)


class AdaloraEquipment(Equipment):
    """With a penalty, a pruning after each step, and a state of its own."""

    def penalty(self, model: Any) -> torch.Tensor | None:
        """Mean over all P and Q of ‖PᵀP - I‖ or ‖QQᵀ - I‖."""
        weight: float = model.peft_config["default"].orth_reg_weight
        gaps = []
        for name, each in model.named_parameters():
            if ".lora_A." in name or ".lora_B." in name:
                square = each @ each.T if ".lora_A." in name else each.T @ each
                gaps.append(torch.linalg.norm(square - torch.eye(len(square), device=square.device)))
        return weight * torch.stack(gaps).mean() if weight else None

    def after_step(self, model: Any, step: int) -> None:
        model.base_model.update_and_allocate(step)

    def state(self, model: Any) -> dict[str, Any]:
        allocator = model.base_model.rankallocator
        remembered: dict[str, Any] = {name: dict(getattr(allocator, name)) for name in SMOOTHED}
        return remembered | {"rank_pattern": model.peft_config["default"].rank_pattern}

    def restore(self, model: Any, state: dict[str, Any]) -> None:
        allocator, device = model.base_model.rankallocator, model.device
        for name in SMOOTHED:
            setattr(allocator, name, {key: each.to(device) for key, each in state[name].items()})
        model.peft_config["default"].rank_pattern = state["rank_pattern"]


EQUIPMENT = AdaloraEquipment(equip, export, snippet, merge, freezes_base=True, load=load)
