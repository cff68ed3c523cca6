"""LoHa's delta is the product, place by place, of two products of thin matrices."""

from __future__ import annotations

from pathlib import Path

import torch

from tests.training.methods.starting import QUERIES, started


def test_two_thin_products_multiplied_place_by_place(encoder: Path) -> None:
    start = started(encoder, "loha", "text-classification", {"rank": 3, "alpha": 6})
    start.move()
    layer = start.layers(QUERIES["bert"])[1]
    b1, a1, b2, a2 = (getattr(layer, name)["default"] for name in ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"))
    assert [tuple(each.shape) for each in (b1, a1, b2, a2)] == [(32, 3), (3, 32)] * 2
    base, equipped = start.matrices(QUERIES["bert"])
    delta = 2 * (b1 @ a1) * (b2 @ a2)
    torch.testing.assert_close(equipped, base + delta, rtol=1e-4, atol=1e-4)
    # What it has over LoRA at the same size: the square of the rank.
    assert int(torch.linalg.matrix_rank(equipped - base, rtol=1e-4)) == 3 * 3
