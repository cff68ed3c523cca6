"""Where the bottleneck adapters stand; what they start as is in `test_step_0`."""

from __future__ import annotations

from pathlib import Path

from tests.training.methods.starting import started


def test_a_decoder_beside_an_encoder_has_three_in_a_block(base_models: dict[str, Path]) -> None:
    model = started(base_models["t5"], "houlsby", "seq2seq", {"bottleneck": 8}).model
    names = [name for name, _ in model.named_modules() if name.endswith(".adapter")]
    assert len([name for name in names if name.startswith("encoder")]) == 4
    assert len([name for name in names if name.startswith("decoder")]) == 6
