"""LayerNorm tuning, torch half: the weights and biases of every normalisation layer train (arXiv:2312.11420)."""

from __future__ import annotations

from typing import Any

from workers.methods.layer_norm import LayerNormOptions
from workers.training.methods.equipping import Equipment, Setting
from workers.training.methods.specifying import bare_modules, export, load, merge, snippet, trains
from workers.training.shape import is_norm


def equip(network: Any, options: LayerNormOptions, setting: Setting) -> Any:
    return trains(network, norm_names(network), setting.task)


def norm_names(network: Any) -> set[str]:
    """Names of the weights and biases of all normalisation layers."""
    norms = [name for name, each in bare_modules(network).items() if is_norm(each)]
    own = {name for name, _ in network.named_parameters()}
    return {f"{name}.{kind}" for name in norms for kind in ("weight", "bias")} & own


EQUIPMENT = Equipment(equip, export, snippet, merge, freezes_base=False, load=load)
