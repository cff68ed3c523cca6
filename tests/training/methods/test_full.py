"""Full fine-tuning trains all there is, at rates that fall with size, and hands in a whole model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.methods.shapes import minilm, smollm2
from tests.training import toys
from tests.training.methods.starting import started
from workers.methods import find_method
from workers.methods.shape import Shape
from workers.training.methods import EQUIPMENT

FULL = find_method("full")


def test_everything_trains_and_nothing_is_added(decoder: Path) -> None:
    start = started(decoder, "full", "causal-lm", {})
    assert start.trained_names() == {name for name, _ in start.plain.named_parameters()}


def test_the_artifact_needs_no_base_model(decoder: Path, tmp_path: Path) -> None:
    spec = toys.spec(decoder, toys.sums(8), "", "full", {}, {})
    start = started(decoder, "full", "causal-lm", {})
    start.move()
    EQUIPMENT["full"].export(start.model, tmp_path, spec)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).eval()
    with torch.no_grad():
        assert torch.equal(loaded(**start.inputs).logits, start.logits()[1])
    assert str(decoder) not in (tmp_path / "config.json").read_text()


@pytest.mark.parametrize(
    ("shape", "steps", "rate"),
    [
        (minilm(), 150, 4 * 5e-5),
        (minilm(), 600, 2 * 5e-5),
        (minilm(), 10_000, 5e-5),
        (smollm2(), 150, 5e-5),
        (replace(smollm2(), parameters=1_000_000_000), 150, 1e-5),
    ],
)
def test_large_models_learn_slowly_and_small_ones_fast_in_short_trainings(
    shape: Shape, steps: int, rate: float
) -> None:
    assert FULL.learning_rate(shape, "causal-lm", steps, FULL.options()) == pytest.approx(rate)
