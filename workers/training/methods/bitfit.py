"""BitFit, torch half: every bias of the base model trains (Ben Zaken et al. 2022, arXiv:2106.10199).

y = W·x + b      only b moves; where a base model has no bias at all, each linear gets b = 0, so step 0 equals it
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from workers.methods.bitfit import MERGED_WITH_NEW_BIASES, BitfitOptions
from workers.training.methods.equipping import CannotMerge, Equipment, Setting
from workers.training.methods.specifying import bare_modules, export, snippet, trains
from workers.training.methods.specifying import load as load_trained
from workers.training.shape import is_norm

ADDED = "added_biases"
"""Attribute of a network whose biases are new."""


def equip(network: Any, options: BitfitOptions, setting: Setting) -> Any:
    biased = {name: each for name, each in bare_modules(network).items() if _has_bias(each)}
    if not biased:
        biased = _with_new_biases(network)
    return trains(network, {f"{name}.bias" for name in biased}, setting.task)


def _has_bias(module: Any) -> bool:
    kind = isinstance(module, (nn.Linear, Conv1D)) or is_norm(module)
    return kind and isinstance(getattr(module, "bias", None), nn.Parameter)


def _with_new_biases(network: Any) -> dict[str, Any]:
    linears = {name: each for name, each in bare_modules(network).items() if isinstance(each, nn.Linear)}
    for each in linears.values():
        each.bias = nn.Parameter(torch.zeros(each.out_features, dtype=each.weight.dtype, device=each.weight.device))
    setattr(network, ADDED, True)
    return linears


def load(network: Any, artifact: Path) -> Any:
    added = not any(map(_has_bias, bare_modules(network).values()))
    model = load_trained(network, artifact)
    setattr(model, ADDED, added)
    return model


def merge(model: Any) -> Any:
    """The biases stand in the network; new ones need a config that says so, or a reload would drop them."""
    if getattr(model, ADDED, False):
        if model.config.model_type not in MERGED_WITH_NEW_BIASES:
            raise CannotMerge(f"The architecture {model.config.model_type} has no place for new biases in its files.")
        model.config.attention_bias = model.config.mlp_bias = True
    return model


EQUIPMENT = Equipment(equip, export, snippet, merge, freezes_base=False, load=load)
