"""LoRA, torch half: PEFT's own LoRA on the linears that the plain half chose, the task's head trained beside it.

    h = W·x + (α/r)·B·A·x      A: r x in, Kaiming uniform; B: out x r, zero, so that step 0 equals the base model

(Hu et al. 2021, arXiv:2106.09685; with α/√r Kalajdzievski 2023, arXiv:2312.03732; a faster B is LoRA+, Hayou et al.
2024, arXiv:2402.12354.) PiSSA (Meng et al. 2024, arXiv:2404.02948) starts A and B at the strongest singular directions
of W and freezes what is left, W - (α/r)·B₀·A₀. Its artifact is plain LoRA of twice the rank on the untouched base:

    (α/r)·(B·A - B₀·A₀) = (α/r)·[B, -B₀]·[A; A₀]
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model_state_dict
from safetensors.torch import save_file

from workers.methods.lora import LoraOptions
from workers.protocol import JobSpec
from workers.training.methods.equipping import Care, Equipment, Setting, is_empty
from workers.training.methods.peft_native import (
    equipped,
    export_native,
    load,
    merge,
    name_base,
    snippet,
    targets,
    transposed,
)

PISSA_ITERATIONS = 16
STARTS = "pissa_start"
"""Attribute of a PiSSA model: where its A and B started, by the names that PEFT stores them under."""


def equip(network: Any, options: LoraOptions, setting: Setting) -> Any:
    pissa = options.start == "pissa" and not is_empty(network)
    config = LoraConfig(
        r=options.rank,
        lora_alpha=options.alpha,
        lora_dropout=options.dropout,
        use_rslora=options.use_rslora,
        init_lora_weights=f"pissa_niter_{PISSA_ITERATIONS}" if pissa else True,
        fan_in_fan_out=transposed(network),
        target_modules=targets(network, options.targets),
    )
    model = equipped(network, config, setting.task)
    if pissa:
        stored = get_peft_model_state_dict(model, save_embedding_layers=False)
        setattr(model, STARTS, {name: value.clone() for name, value in stored.items() if ".lora_" in name})
    return model


def care(name: str, options: LoraOptions) -> Care:
    """LoRA+: B learns faster than A by a fixed ratio."""
    return Care(rate=options.lora_plus_ratio) if ".lora_B." in name else Care()


def export(model: Any, folder: Path, spec: JobSpec) -> None:
    """As PEFT stores it; PiSSA as plain LoRA of twice the rank, since its own form needs the changed base."""
    starts: dict[str, torch.Tensor] | None = getattr(model, STARTS, None)
    if starts is None:
        export_native(model, folder, spec)
        return
    config = copy.deepcopy(model.peft_config["default"])
    config.r, config.lora_alpha, config.init_lora_weights = 2 * config.r, 2 * config.lora_alpha, True
    config.inference_mode = True
    name_base(config, spec)
    config.save_pretrained(folder)
    stored = get_peft_model_state_dict(model, save_embedding_layers=False)
    tensors = {name: _doubled(name, value, starts.get(name)) for name, value in stored.items()}
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})


def _doubled(name: str, value: torch.Tensor, start: torch.Tensor | None) -> torch.Tensor:
    if start is None:
        return value.detach().cpu().contiguous()
    start = start.to(value.device)
    pair = torch.cat([value, start], dim=0) if ".lora_A." in name else torch.cat([value, -start], dim=1)
    return pair.detach().cpu().contiguous()


EQUIPMENT = Equipment(equip, export, snippet, merge, freezes_base=True, load=load, care=care)
