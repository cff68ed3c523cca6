"""Single promises of single methods, each against its formula: scales, rates and starts that no count can show."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.conftest import MakeJob, Trainer
from tests.training.methods.cells import WatchedAttempt
from tests.training.methods.starting import started
from workers.training.methods.peft_native import load, merge

RATE = 1e-3
ADAPTED = "bert.encoder.layer.1.attention.self.query"


@pytest.mark.parametrize("ratio", [1, 16])
def test_lora_plus_moves_b_by_its_ratio(ratio: int, classify: MakeJob, tmp_path: Path) -> None:
    # The first step of Adam is as long as the rate, in whichever direction.
    given: dict[str, Any] = {"max_steps": 1, "learning_rate": RATE, "warmup": 0.0, "scheduler": "constant"}
    train = Trainer(tmp_path, WatchedAttempt)
    assert train(classify(options={"rank": 4, "lora_plus_ratio": ratio}, **given)).error is None
    assert isinstance(train.attempt, WatchedAttempt)
    trained = {name: each for name, each in train.attempt.loop.moving.model.named_parameters() if each.requires_grad}
    before = train.attempt.before
    moved = {name: float((each.detach() - before[name]).abs().median()) for name, each in trained.items()}
    b = [distance for name, distance in moved.items() if ".lora_B." in name]
    assert len(b) == 12
    assert b == pytest.approx([RATE * ratio] * len(b), rel=0.01)
    assert [each for name, each in moved.items() if "classifier" in name] == pytest.approx([RATE] * 2, rel=0.01)
    groups = train.attempt.loop.moving.optimizer.param_groups
    rates = {id(each): group["lr"] for group in groups for each in group["params"]}
    # A cannot move as long as B is zero.
    assert {rates[id(each)] for name, each in trained.items() if ".lora_A." in name} == {RATE}


@pytest.mark.parametrize(("use_rslora", "scale"), [(False, 12 / 9), (True, 12 / math.sqrt(9))])
def test_lora_is_scaled_by_alpha_over_rank_and_rslora_over_its_root(
    use_rslora: bool, scale: float, encoder: Path
) -> None:
    options = {"rank": 9, "alpha": 12, "use_rslora": use_rslora}
    start = started(encoder, "lora", "text-classification", options)
    layer = start.model.get_submodule(f"base_model.model.{ADAPTED}")
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    with torch.no_grad():
        b.normal_()
        x = torch.randn(3, 32)
        wanted = start.plain.get_submodule(ADAPTED)(x) + scale * (x @ a.T @ b.T)
        torch.testing.assert_close(layer(x), wanted, rtol=1e-5, atol=1e-5)


def test_vera_starts_with_d_at_a_tenth_and_b_at_zero(encoder: Path) -> None:
    named = dict(started(encoder, "vera", "text-classification", {"rank": 16}).model.named_parameters())
    d = [each for name, each in named.items() if ".vera_lambda_d." in name]
    b = [each for name, each in named.items() if ".vera_lambda_b." in name]
    assert [each.shape for each in d] == [torch.Size([16])] * 4
    assert all((each == 0.1).all() for each in d)
    assert [each.shape for each in b] == [torch.Size([32])] * 4
    assert not any(each.any() for each in b)


def test_a_trained_oft_rotates_and_stretches_nothing(classify: MakeJob, train: Trainer, encoder: Path) -> None:
    given: dict[str, Any] = {"max_steps": 3, "learning_rate": 0.1, "warmup": 0.0, "scheduler": "constant"}
    job = classify(method="oft", options={"block_size": 8}, **given)
    assert train(job).error is None
    start = started(encoder, "head", "text-classification", {})
    merged = merge(load(start.model, job.artifact)).get_submodule(ADAPTED).weight
    base = start.plain.get_submodule(ADAPTED).weight
    # W·R with R = W⁻¹·(W·R), since the base's W is square and of full rank.
    rotation = torch.linalg.solve(base.double(), merged.double())
    eye = torch.eye(32, dtype=torch.float64)
    assert float((rotation - eye).abs().max()) > 0.1
    torch.testing.assert_close(rotation @ rotation.T, eye, rtol=0, atol=1e-4)
    outside = torch.kron(torch.eye(4), torch.ones(8, 8)) == 0
    assert float(rotation[outside].abs().max()) < 1e-4
