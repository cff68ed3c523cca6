"""IA³ multiplies keys, values and the inner activation of the feed-forward network, and nothing else."""

from __future__ import annotations

from pathlib import Path

import torch

from tests.training.methods.starting import started

BLOCK = "bert.encoder.layer.1."


def test_keys_values_and_inner_activations_are_scaled(encoder: Path) -> None:
    start = started(encoder, "ia3", "text-classification", {})
    start.move()
    for name, width, by_input in (
        ("attention.self.key", 32, False),
        ("attention.self.value", 32, False),
        ("output.dense", 64, True),
    ):
        plain, layer = start.layers(f"{BLOCK}{name}")
        scale, x = layer.ia3_l["default"].flatten(), torch.randn(3, 64 if by_input else 32)
        assert scale.shape == (width,)
        with torch.no_grad():
            # A key's bias is part of it, and scaled with it.
            plain.bias.copy_(layer.base_layer.bias.normal_())
            wanted = plain(scale * x) if by_input else scale * plain(x)
            torch.testing.assert_close(layer(x), wanted, rtol=1e-5, atol=1e-5)


def test_nothing_else_is_scaled(encoder: Path) -> None:
    trained = started(encoder, "ia3", "text-classification", {}).trained_names()
    scaled = {name.removesuffix(".ia3_l.default") for name in trained if "ia3_l" in name}
    places = ("attention.self.key", "attention.self.value", "output.dense")
    assert scaled == {f"base_model.model.bert.encoder.layer.{n}.{place}" for n in (0, 1) for place in places}
    assert all("classifier" in name for name in trained if "ia3_l" not in name)
