"""LoKr's delta is a Kronecker product, whose larger factor is thin or whole."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.training.methods.starting import QUERIES, started


@pytest.mark.parametrize(("rank", "whole"), [(2, False), (4, True)])
def test_the_small_factor_repeats_the_large_one(rank: int, whole: bool, encoder: Path) -> None:
    start = started(encoder, "lokr", "text-classification", {"rank": rank, "alpha": 3 * rank})
    layer = start.layers(QUERIES["bert"])[1]
    c = layer.lokr_w1["default"]
    assert c.shape == (4, 4)
    assert not c.any()
    start.move()
    second = layer.lokr_w2["default"] if whole else layer.lokr_w2_a["default"] @ layer.lokr_w2_b["default"]
    assert second.shape == (8, 8)
    base, equipped = start.matrices(QUERIES["bert"])
    for row in range(4):
        for column in range(4):
            place = slice(8 * row, 8 * row + 8), slice(8 * column, 8 * column + 8)
            wanted = base[place] + 3 * c[row, column] * second
            torch.testing.assert_close(equipped[place], wanted, rtol=1e-4, atol=1e-4)
