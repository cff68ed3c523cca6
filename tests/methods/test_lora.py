"""LoRA's plain half: exact counts, start values, and options that cannot work."""

from __future__ import annotations

import pytest

from tests.methods.shapes import fused, minilm, smollm2
from workers.methods import find_method
from workers.methods.full import FullOptions
from workers.methods.lora import LoraOptions
from workers.methods.options import OptionsError

LORA = find_method("lora")


def test_counts_equal_those_read_from_real_models() -> None:
    assert LORA.trainable_parameters(minilm(), LoraOptions(rank=8, targets=("q", "v")), "text-classification", 2) == (
        74_498
    )
    assert LORA.count(smollm2(), LoraOptions(rank=8, targets=("q", "v"))) == 460_800
    assert LORA.count(smollm2(), LoraOptions(rank=8)) == 2_442_240


def test_asking_for_q_takes_the_whole_of_a_fused_linear_once() -> None:
    assert LORA.count(fused(), LoraOptions(rank=4, targets=("q", "v"))) == 4 * (64 + 192)


def test_targets_that_do_not_exist_are_refused_with_those_that_do() -> None:
    with pytest.raises(OptionsError) as refused:
        LORA.check(minilm(), LoraOptions(targets=("gate",)))
    assert refused.value.field == "targets"
    assert "q, k, v, o, up, down" in refused.value.hint


def test_a_rank_wider_than_the_narrowest_layer_is_refused() -> None:
    with pytest.raises(OptionsError) as refused:
        LORA.check(smollm2(), LoraOptions(rank=256))
    assert refused.value.field == "rank"
    assert "192" in refused.value.message


def test_small_models_in_short_trainings_learn_faster() -> None:
    assert LORA.learning_rate(minilm(), "text-classification", 150, LoraOptions()) == pytest.approx(1e-3)
    assert LORA.learning_rate(minilm(), "text-classification", 600, LoraOptions()) == pytest.approx(1e-3)
    assert LORA.learning_rate(minilm(), "text-classification", 2_400, LoraOptions()) == pytest.approx(5e-4)
    assert LORA.learning_rate(minilm(), "text-classification", 100_000, LoraOptions()) == pytest.approx(2e-4)
    assert LORA.learning_rate(smollm2(), "causal-lm", 100, LoraOptions()) == pytest.approx(2e-4)
    assert find_method("full").learning_rate(minilm(), "text-classification", 100, FullOptions()) == pytest.approx(2e-4)
