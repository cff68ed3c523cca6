"""Intrinsic dimension, torch half (Aghajanyan et al. 2021, arXiv:2012.13255).

    W = W₀ + λ_g·P·θ      θ zero and λ one at the start, so that step 0 equals the base model

P is a Fastfood projection for each tensor, λ one factor for each block (SAID) or none at all (DID). The projection
itself is in the loader file that the artifact carries. The network's own parameters never change: every forward pass
runs it with other tensors in their places.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn
from torch.func import functional_call

from workers.methods.intrinsic_dimension import IntrinsicDimensionOptions
from workers.protocol import JobSpec
from workers.training import loaders
from workers.training.loaders import fastfood
from workers.training.loaders.fastfood import DELTA, SETTINGS, Stream, project, project_back, stream
from workers.training.methods.bottlenecks import snippet
from workers.training.methods.equipping import CannotMerge, Equipment, Setting, head_names, only_trains, trained_tensors
from workers.training.methods.specifying import merge
from workers.training.shape import block_number


class Projection(torch.autograd.Function):
    """P·θ with its adjoint: nothing but θ's gradient is computed, and nothing between is kept."""

    @staticmethod
    def forward(ctx: Any, theta: torch.Tensor, by: Stream, elements: int) -> torch.Tensor:
        ctx.by, ctx.dimension = by, len(theta)
        return project(theta, by, elements)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        return project_back(gradients[0], ctx.by, ctx.dimension), None, None


class InSubspace(nn.Module):
    """A network whose weights move within a random subspace."""

    def __init__(self, network: Any, groups: dict[str, int], dimension: int, factors: int, seed: int) -> None:
        super().__init__()
        device = next(network.parameters()).device
        self.network, self.groups, self.seed = network, groups, seed
        self.theta = nn.Parameter(torch.zeros(dimension - factors, device=device))
        self.scales = nn.Parameter(torch.ones(factors, device=device)) if factors else None
        self._streams: dict[str, Stream] = {}

    @property
    def config(self) -> Any:
        return self.network.config

    @property
    def device(self) -> torch.device:
        return self.theta.device

    def stream(self, name: str, elements: int) -> Stream:
        """The random parts of one tensor's projection, on the device of θ."""
        if name not in self._streams or self._streams[name].normal.device != self.device:
            self._streams[name] = stream(self.seed, name, elements, len(self.theta)).to(self.device)
        return self._streams[name]

    def weights(self) -> dict[str, torch.Tensor]:
        """The moved tensors by name."""
        own = dict(self.network.named_parameters())
        return {name: own[name] + self._delta(name, own[name]) for name in self.groups}

    def _delta(self, name: str, weight: torch.Tensor) -> torch.Tensor:
        elements = weight.numel()
        delta: torch.Tensor = Projection.apply(self.theta, self.stream(name, elements), elements)  # type: ignore[no-untyped-call]
        delta = delta.view_as(weight)
        return delta if self.scales is None else self.scales[self.groups[name]] * delta

    def forward(self, **inputs: Any) -> Any:
        return functional_call(self.network, self.weights(), kwargs=inputs)


def equip(network: Any, options: IntrinsicDimensionOptions, setting: Setting) -> Any:
    head = head_names(network) if setting.task == "text-classification" else set()
    only_trains(network, head)
    groups = groups_of(network, head, options.include_embeddings)
    factors = factors_of(network, options)
    return InSubspace(network, groups, options.dimension, factors, setting.seed)


def groups_of(network: Any, head: set[str], include_embeddings: bool) -> dict[str, int]:
    """The tensors that move, and the factor of each: its block's, then that of what stands outside, of embeddings."""
    embeddings = _embeddings(network)
    outside = _blocks(network)
    groups = {}
    for name, _ in network.named_parameters():
        block = block_number(network.config, name)
        if name in embeddings and include_embeddings:
            groups[name] = outside + 1
        elif name not in head | embeddings:
            groups[name] = block if block >= 0 else outside
    return groups


def factors_of(network: Any, options: IntrinsicDimensionOptions) -> int:
    return _blocks(network) + 1 + options.include_embeddings if options.structure_aware else 0


def _blocks(network: Any) -> int:
    return 1 + max(block_number(network.config, name) for name, _ in network.named_parameters())


def _embeddings(network: Any) -> set[str]:
    """Embedding tables outside of the blocks, and a language model's output layer."""
    output = network.get_output_embeddings()
    chosen = {
        f"{name}.weight"
        for name, module in network.named_modules()
        if (isinstance(module, nn.Embedding) and block_number(network.config, name + ".") < 0) or module is output
    }
    return chosen & {name for name, _ in network.named_parameters()}


def export(model: InSubspace, folder: Path, spec: JobSpec) -> None:
    """θ, λ and the head, what is needed to draw the projections again, and the loader."""
    tensors = {name.removeprefix("network."): each for name, each in trained_tensors(model).items()}
    save_file(tensors, folder / DELTA, metadata={"format": "pt"})
    own = dict(model.network.named_parameters())
    settings = {
        "seed": model.seed,
        "torch": torch.__version__,
        "groups": model.groups,
        "checksums": {name: model.stream(name, own[name].numel()).checksum for name in model.groups},
    }
    (folder / SETTINGS).write_text(json.dumps(settings, indent=2), encoding="utf-8")
    loaders.ship("fastfood", folder)


def load(network: Any, artifact: Path) -> Any:
    """The moved tensors stand in the network already: the loader adds the delta to them."""
    try:
        return fastfood.load(network, str(artifact))
    except ValueError as error:
        raise CannotMerge(str(error)) from error


EQUIPMENT = Equipment(equip, export, snippet, merge, freezes_base=False, load=load)
