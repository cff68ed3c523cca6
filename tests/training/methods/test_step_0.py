"""Before its first step, a network with a delta answers as its base model does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.methods.starting import started
from workers.protocol import Task

EXACT, ROUNDED = 0.0, 1e-5
"""Of the largest logit. Methods that compute a weight anew (a norm, a rotation, a singular part) round it anew; a
subspace's weights are the base model's to the last bit, but in other memory, and how that is aligned decides about the
last bit of a product."""
STARTS: list[tuple[str, dict[str, Any], float]] = [
    ("lora", {"rank": 4}, EXACT),
    ("lora", {"rank": 4, "use_rslora": True}, EXACT),
    ("lora", {"rank": 4, "start": "pissa"}, ROUNDED),
    ("dora", {"rank": 4}, ROUNDED),
    ("adalora", {"initial_rank": 6, "target_rank": 3}, EXACT),
    ("vera", {"rank": 16}, EXACT),
    ("oft", {"block_size": 8}, ROUNDED),
    ("loha", {"rank": 4}, EXACT),
    ("lokr", {"rank": 2}, EXACT),
    ("ia3", {}, EXACT),
    ("bitfit", {}, EXACT),
    ("intrinsic_dimension", {"dimension": 50, "structure_aware": False}, ROUNDED),
    ("intrinsic_dimension", {"dimension": 50}, ROUNDED),
]


@pytest.mark.parametrize(("architecture", "task"), [("bert", "text-classification"), ("llama", "causal-lm")])
@pytest.mark.parametrize(("method", "options", "tolerance"), STARTS)
def test_a_delta_starts_as_nothing(
    method: str, options: dict[str, Any], tolerance: float, architecture: str, task: Task, base_models: dict[str, Path]
) -> None:
    plain, equipped = started(base_models[architecture], method, task, options).logits()
    assert float((plain - equipped).abs().max()) <= tolerance * float(plain.abs().max())


@pytest.mark.parametrize("method", ["houlsby", "pfeiffer"])
@pytest.mark.parametrize(("architecture", "task"), [("llama", "causal-lm"), ("gpt2", "causal-lm"), ("t5", "seq2seq")])
def test_an_adapter_in_a_decoder_starts_as_nothing(
    architecture: str, task: Task, method: str, base_models: dict[str, Path]
) -> None:
    plain, equipped = started(base_models[architecture], method, task, {"bottleneck": 8}).logits()
    assert torch.equal(plain, equipped)


@pytest.mark.parametrize(("method", "adapters"), [("houlsby", 4), ("pfeiffer", 2)])
def test_an_adapter_in_an_encoder_starts_near_nothing(method: str, adapters: int, base_models: dict[str, Path]) -> None:
    start = started(base_models["bert"], method, "text-classification", {"bottleneck": 8})
    plain, equipped = start.logits()
    assert 0 < float((plain - equipped).abs().max()) < 1e-2
    ups = [each for name, each in start.model.named_parameters() if name.endswith("adapter.up.weight")]
    assert len(ups) == adapters
    assert all(0 < float(each.detach().abs().max()) <= 2e-2 for each in ups)
