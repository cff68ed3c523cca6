"""What both bottleneck adapters share: where they are put, how they start, what is handed in.

The adapter itself is in the loader file that the artifact carries: what trains is what will be loaded.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import nn

from workers.protocol import JobSpec
from workers.training import loaders
from workers.training.families import role_of
from workers.training.loaders.bottleneck import DELTA, SETTINGS, Bottleneck, attach
from workers.training.methods.equipping import load_base, trained_tensors
from workers.training.methods.specifying import trains
from workers.training.shape import ENCODERS

DEVIATION = 1e-2
"""Of the start values, cut at twice as much (Houlsby et al.)."""


def equipped(
    network: Any, roles: tuple[str, ...], bottleneck: int, scale: float, besides: set[str], setting: Any
) -> Any:
    """An adapter behind every linear of these roles; they train, and the parameters named besides."""
    kind = network.config.model_type
    places = {
        name: width
        for name, module in network.named_modules()
        if role_of(kind, name) in roles and (width := _outputs(module))
    }
    network.adapter_settings = {"bottleneck": bottleneck, "scale": scale, "places": places}
    attach(network, network.adapter_settings)
    # Near-identity is near only in encoders: in a deep network that adds up its residuals unnormalised, many small
    # adapters move the answers; there they start at exactly nothing.
    near = kind in ENCODERS and not network.config.is_encoder_decoder
    for name in places:
        _start(network.get_submodule(name).adapter, near)
    adapters = {name for name, _ in network.named_parameters() if ".adapter." in name}
    return trains(network, adapters | besides, setting.task)


def _outputs(module: Any) -> int:
    """Outputs of a linear, also of GPT-2's transposed ones; 0 for anything else."""
    return int(getattr(module, "out_features", 0) or getattr(module, "nf", 0))


def _start(adapter: Bottleneck, near: bool) -> None:
    for layer in (adapter.down, adapter.up):
        nn.init.trunc_normal_(layer.weight, std=DEVIATION, a=-2 * DEVIATION, b=2 * DEVIATION)
        nn.init.zeros_(layer.bias)
    if not near:
        nn.init.zeros_(adapter.up.weight)


def export(model: Any, folder: Path, spec: JobSpec) -> None:
    """The trained tensors, where the adapters stand, and the loader."""
    save_file(trained_tensors(model), folder / DELTA, metadata={"format": "pt"})
    (folder / SETTINGS).write_text(json.dumps(model.adapter_settings, indent=2), encoding="utf-8")
    loaders.ship("bottleneck", folder)


def snippet(spec: JobSpec) -> str:
    return f"""\
{load_base(spec, imports="import sys" + chr(10) * 2)}
sys.path.insert(0, artifact)  # load_delta.py of this artifact: a page of torch, no pickle
from load_delta import load

model = load(base, artifact)
"""
