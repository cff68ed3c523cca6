"""Bottleneck adapters: puts the delta beside this file into the base model that it was trained on.

    from load_delta import load
    model = load(base, folder)

Behind each layer that delta.json names, h becomes h + s·(U·gelu(D·h + b₁) + b₂). Needs torch and safetensors only.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

SETTINGS, DELTA = "delta.json", "delta.safetensors"


class Bottleneck(nn.Module):
    """width -> bottleneck -> width, added to what goes in; in fp32 whatever the network is kept in."""

    def __init__(self, width: int, bottleneck: int, scale: float, device: torch.device) -> None:
        super().__init__()
        self.scale = scale
        self.down = nn.Linear(width, bottleneck, device=device, dtype=torch.float32)
        self.up = nn.Linear(bottleneck, width, device=device, dtype=torch.float32)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        inner = functional.gelu(self.down(hidden.to(self.down.weight.dtype)))
        added: torch.Tensor = self.scale * self.up(inner)
        return hidden + added.to(hidden.dtype)


def through_adapter(layer: Any, inputs: Any, output: torch.Tensor) -> Any:
    """A forward hook: what the layer says goes through its adapter."""
    return layer.adapter(output)


def attach(model: Any, settings: dict[str, Any]) -> None:
    """An adapter behind each named layer, as a child of it: all names of the base model stay as they are."""
    for name, width in settings["places"].items():
        layer = model.get_submodule(name)
        layer.adapter = Bottleneck(width, settings["bottleneck"], settings["scale"], layer.weight.device)
        layer.register_forward_hook(through_adapter)


def load(model: Any, folder: str) -> Any:
    """The base model with the delta of this folder in it."""
    attach(model, json.loads((Path(folder) / SETTINGS).read_text(encoding="utf-8")))
    unexpected = model.load_state_dict(load_file(Path(folder) / DELTA), strict=False).unexpected_keys
    if unexpected:
        raise ValueError(f"This delta belongs to another base model, which has {unexpected[0]}.")
    return model.eval()
