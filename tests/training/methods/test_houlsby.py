"""The Houlsby adapter: a bottleneck behind attention and one behind the feed-forward network, and norms if wished.

What they start as is in `test_step_0`, the bottleneck's own formula in `test_pfeiffer`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.methods.starting import started


def test_a_decoder_beside_an_encoder_has_three_in_a_block(base_models: dict[str, Path]) -> None:
    model = started(base_models["t5"], "houlsby", "seq2seq", {"bottleneck": 8}).model
    names = [name for name, _ in model.named_modules() if name.endswith(".adapter")]
    assert len([name for name in names if name.startswith("encoder")]) == 4
    assert len([name for name in names if name.startswith("decoder")]) == 6


@pytest.mark.parametrize("train_norms", [False, True])
def test_two_in_a_block_of_an_encoder_and_its_norms_if_wished(train_norms: bool, encoder: Path) -> None:
    options = {"bottleneck": 8, "train_norms": train_norms}
    trained = started(encoder, "houlsby", "text-classification", options).trained_names()
    adapters = {name.partition(".adapter.")[0] for name in trained if ".adapter." in name}
    blocks = [f"bert.encoder.layer.{number}" for number in (0, 1)]
    assert adapters == {f"{block}{place}output.dense" for block in blocks for place in (".attention.", ".")}
    norms = {name for name in trained if ".LayerNorm." in name}
    assert len(norms) == (10 if train_norms else 0)
    assert trained == norms | {name for name in trained if ".adapter." in name or name.startswith("classifier.")}
