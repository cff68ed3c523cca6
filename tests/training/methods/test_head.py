"""Head only: the new classification head trains, whatever it is made of, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.training.methods.starting import started

HEADS = {
    "bert": {"classifier.weight", "classifier.bias"},
    "roberta": {f"classifier.{part}.{kind}" for part in ("dense", "out_proj") for kind in ("weight", "bias")},
    "llama": {"score.weight"},
    "gpt2": {"score.weight"},
}


@pytest.mark.parametrize("architecture", HEADS)
def test_only_the_head_learns(architecture: str, base_models: dict[str, Path]) -> None:
    start = started(base_models[architecture], "head", "text-classification", {})
    loss = start.model(**start.inputs, labels=torch.tensor([1])).loss
    loss.backward()
    assert {name for name, each in start.model.named_parameters() if each.grad is not None} == HEADS[architecture]
    plain, equipped = start.logits()
    assert torch.equal(plain, equipped)
