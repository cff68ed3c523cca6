"""LoRA's scale, the faster B of LoRA+, and where PiSSA starts."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.conftest import MakeJob, Trainer
from tests.training.methods.cells import WatchedAttempt
from tests.training.methods.starting import QUERIES, started

RATE = 1e-3


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
    plain, layer = start.layers(QUERIES["bert"])
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    with torch.no_grad():
        b.normal_()
        x = torch.randn(3, 32)
        wanted = plain(x) + scale * (x @ a.T @ b.T)
        torch.testing.assert_close(layer(x), wanted, rtol=1e-5, atol=1e-5)


def test_pissa_starts_at_the_strongest_directions_and_freezes_the_rest(encoder: Path) -> None:
    start = started(encoder, "lora", "text-classification", {"rank": 4, "alpha": 8, "start": "pissa"})
    plain, layer = start.layers(QUERIES["bert"])
    product = 2 * layer.lora_B["default"].weight @ layer.lora_A["default"].weight
    # No matrix of this rank leaves less over; the library finds it by iteration, nearly.
    least = float(torch.linalg.svdvals(plain.weight)[4:].norm())
    assert int(torch.linalg.matrix_rank(product, rtol=1e-4)) == 4
    assert least <= float(layer.base_layer.weight.norm()) < 1.01 * least
    torch.testing.assert_close(layer.base_layer.weight + product, plain.weight, rtol=0, atol=1e-6)
    assert not layer.base_layer.weight.requires_grad
