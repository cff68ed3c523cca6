"""Adapters start near doing nothing in encoders and at exactly nothing in decoders, where near is not near enough."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training import toys
from workers.methods import find_method
from workers.protocol import Task
from workers.training import base_model
from workers.training.methods import EQUIPMENT
from workers.training.methods.equipping import Setting


def step_0(folder: Path, method: str, task: Task, labels: tuple[str, ...]) -> tuple[torch.Tensor, torch.Tensor, Any]:
    """Logits of the base model and of the equipped one, which is given along."""
    setting = Setting(task, base_model.load_tokenizer(folder), labels, total_steps=10, seed=17)
    inputs = dict(setting.tokenizer("the film was good", return_tensors="pt"))
    if task == "seq2seq":
        inputs["decoder_input_ids"] = torch.tensor([[0, 5, 6]])
    plain = toys.network(folder, task, labels).eval()
    chosen = find_method(method).options.from_json({"bottleneck": 8})
    model = EQUIPMENT[method].equip(toys.network(folder, task, labels), chosen, setting).eval()
    with torch.no_grad():
        return plain(**inputs).logits, model(**inputs).logits, model


@pytest.mark.parametrize("method", ["houlsby", "pfeiffer"])
@pytest.mark.parametrize(("architecture", "task"), [("llama", "causal-lm"), ("gpt2", "causal-lm"), ("t5", "seq2seq")])
def test_a_decoder_starts_as_the_base_model(
    architecture: str, task: Task, method: str, base_models: dict[str, Path]
) -> None:
    plain, equipped, _ = step_0(base_models[architecture], method, task, ())
    assert torch.equal(plain, equipped)


@pytest.mark.parametrize(("method", "adapters"), [("houlsby", 4), ("pfeiffer", 2)])
def test_an_encoder_starts_near_the_base_model(method: str, adapters: int, encoder: Path) -> None:
    plain, equipped, model = step_0(encoder, method, "text-classification", ("no", "yes"))
    assert 0 < float((plain - equipped).abs().max()) < 1e-2
    ups = [each for name, each in model.named_parameters() if name.endswith("adapter.up.weight")]
    assert len(ups) == adapters
    assert all(0 < float(each.detach().abs().max()) <= 2e-2 for each in ups)


def test_a_decoder_beside_an_encoder_has_three_in_a_block(base_models: dict[str, Path]) -> None:
    _, _, model = step_0(base_models["t5"], "houlsby", "seq2seq", ())
    names = [name for name, _ in model.named_modules() if name.endswith(".adapter")]
    assert len([name for name in names if name.startswith("encoder")]) == 4
    assert len([name for name in names if name.startswith("decoder")]) == 6
