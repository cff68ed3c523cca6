"""Intrinsic dimension: adds the delta beside this file to the base model that it was trained on.

    from load_delta import load
    model = load(base, folder)

Every tensor W of D entries gets λ·s·R·H·diag(G)·Π·H·diag(B)·E·θ (Fastfood), where E pads θ with zeros to a power of
two, R keeps the first D entries, H is the unnormalised Walsh-Hadamard transform, and the signs B, the permutation Π and
the normal numbers G are drawn from a seed. Needs torch and safetensors only.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

SETTINGS, DELTA = "delta.json", "delta.safetensors"
LARGEST_BLOCK = 6
"""Bits of a Hadamard matrix that is multiplied at once."""


@dataclass(frozen=True)
class Stream:
    """The random parts of one tensor's projection, n entries each."""

    signs: torch.Tensor
    order: torch.Tensor
    normal: torch.Tensor
    scale: float

    def to(self, device: torch.device) -> Stream:
        return Stream(self.signs.to(device), self.order.to(device), self.normal.to(device), self.scale)

    @property
    def checksum(self) -> str:
        parts = (self.signs, self.order, self.normal)
        return hashlib.sha256(b"".join(each.cpu().numpy().tobytes() for each in parts)).hexdigest()[:16]


def stream(seed: int, name: str, elements: int, dimension: int) -> Stream:
    """Always drawn on the CPU, so that every device projects alike; s = 1 / sqrt(D · sum(G²))."""
    size = 1 << (max(elements, dimension) - 1).bit_length()
    key = hashlib.sha256(f"{seed}/{name}/{size}".encode()).digest()
    chance = torch.Generator().manual_seed(int.from_bytes(key[:8], "little") >> 1)
    signs = torch.randint(0, 2, (size,), generator=chance, dtype=torch.int8) * 2 - 1
    order = torch.randperm(size, generator=chance).to(torch.int32)
    normal = torch.randn(size, generator=chance)
    return Stream(signs, order, normal, 1 / math.sqrt(elements * float(normal.double().square().sum())))


def hadamard(bits: int, like: torch.Tensor) -> torch.Tensor:
    """The dense Walsh-Hadamard matrix of 2^bits rows."""
    matrix = torch.ones(1, 1, dtype=like.dtype, device=like.device)
    for _ in range(bits):
        matrix = torch.cat([torch.cat([matrix, matrix], 1), torch.cat([matrix, -matrix], 1)])
    return matrix


def transform(vector: torch.Tensor) -> torch.Tensor:
    """H·vector, unnormalised: H of 2^k is a Kronecker product of small ones, and each takes one axis in turn."""
    bits = len(vector).bit_length() - 1
    while bits:
        block = min(bits, LARGEST_BLOCK)
        # The axis that was multiplied moves to the front; after all of them everything is where it was.
        vector = (vector.view(-1, 1 << block) @ hadamard(block, vector)).t().reshape(-1)
        bits -= block
    return vector


def project(theta: torch.Tensor, by: Stream, elements: int) -> torch.Tensor:
    """The first `elements` entries of s·H·diag(G)·Π·H·diag(B)·E·θ."""
    padded = theta.new_zeros(len(by.signs))
    padded[: len(theta)] = theta
    mixed = transform(padded * by.signs)[by.order.long()]
    return by.scale * transform(mixed * by.normal.to(theta.dtype))[:elements]


def project_back(gradient: torch.Tensor, by: Stream, dimension: int) -> torch.Tensor:
    """The adjoint: what a gradient of the projected entries says of θ."""
    padded = gradient.new_zeros(len(by.signs))
    padded[: len(gradient)] = gradient
    mixed = transform(padded) * by.normal.to(gradient.dtype)
    unordered = torch.empty_like(mixed)
    unordered[by.order.long()] = mixed
    return by.scale * (transform(unordered) * by.signs)[:dimension]


def load(model: Any, folder: str) -> Any:
    """The base model with the delta of this folder in its weights."""
    settings = json.loads((Path(folder) / SETTINGS).read_text(encoding="utf-8"))
    tensors = load_file(Path(folder) / DELTA)
    theta, scales = tensors.pop("theta"), tensors.pop("scales", None)
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, group in settings["groups"].items():
            weight = parameters[name]
            by = stream(settings["seed"], name, weight.numel(), len(theta))
            if by.checksum != settings["checksums"][name]:
                raise ValueError(
                    f"This version of torch draws other random numbers than {settings['torch']}, with which the delta "
                    "was trained. Install that version, or take the merged model."
                )
            delta = project(theta, by, weight.numel()).view_as(weight)
            weight.copy_(weight + (delta if scales is None else scales[group] * delta))
    for name, value in tensors.items():
        module, _, kind = name.rpartition(".")
        setattr(model.get_submodule(module), kind, torch.nn.Parameter(value, requires_grad=False))
    return model.eval()
