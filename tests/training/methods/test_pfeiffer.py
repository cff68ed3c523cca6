"""The Pfeiffer adapter: one bottleneck in a block, behind the feed-forward network and before the residual."""

from __future__ import annotations

from pathlib import Path

import torch

from tests.training.methods.starting import started

PLACE = "bert.encoder.layer.1.output.dense"


def test_it_adds_what_its_bottleneck_makes_of_the_feed_forward_network(encoder: Path) -> None:
    start = started(encoder, "pfeiffer", "text-classification", {"bottleneck": 8, "scale": 2.0})
    start.move()
    plain, layer = start.layers(PLACE)
    down, up = layer.adapter.down, layer.adapter.up
    assert down.weight.shape == (8, 32)
    with torch.no_grad():
        x = torch.randn(3, 64)
        h = plain(x)
        inner = h @ down.weight.T + down.bias
        gelu = inner * (1 + torch.erf(inner / 2**0.5)) / 2
        torch.testing.assert_close(layer(x), h + 2 * (gelu @ up.weight.T + up.bias), rtol=1e-4, atol=1e-4)


def test_nothing_but_the_adapters_and_the_head_trains(encoder: Path) -> None:
    trained = started(encoder, "pfeiffer", "text-classification", {"bottleneck": 8}).trained_names()
    added = {name.partition(".adapter.")[0] for name in trained if not name.startswith("classifier.")}
    assert added == {"bert.encoder.layer.0.output.dense", PLACE}
