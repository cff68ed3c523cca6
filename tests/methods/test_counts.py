"""Exact trainable parameters of every method on two real networks, as they were read from equipped models."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.methods.shapes import fused, minilm, smollm2
from workers.methods import METHODS, find_method
from workers.methods.options import OptionsError

QV = {"targets": ["q", "v"]}
MINILM: list[tuple[str, dict[str, Any], int]] = [
    ("full", {}, 22_713_986),
    ("head", {}, 770),
    ("last_k", {"k": 2, "pooler": False}, 3_549_698),
    ("last_k", {"k": 1}, 1_923_074),
    ("layer_norm", {}, 10_754),
    ("bitfit", {}, 26_882),
    ("lora", {"rank": 8, **QV}, 74_498),
    ("dora", {"rank": 8}, 359_810 - 8 * 768 - 384),
    ("qlora", {"rank": 8, **QV}, 74_498),
    ("adalora", QV, 111_506),
    ("vera", {}, 8_450),
    ("oft", {}, 72_194),
    ("loha", {}, 148_226),
    ("lokr", {}, 8_450),
    ("ia3", {}, 770 + 6 * (2 * 384 + 1536)),
    ("houlsby", {}, 595_970),
    ("houlsby", {"train_norms": True}, 605_954),
    ("pfeiffer", {}, 298_370),
    ("intrinsic_dimension", {}, 1_770),
    ("prompt_tuning", {}, 8_450),
    ("p_tuning", {}, 123_778),
    ("prefix_tuning", {"mlp": True}, 2_569_474),
    ("prefix_tuning", {}, 92_930),
]
"""With a head for two labels (770). A DoRA on all linears is often given the pooler too, which has no role here."""
SMOLLM2: list[tuple[str, dict[str, Any], int]] = [
    ("full", {}, 134_515_008),
    ("last_k", {"k": 2}, 7_080_768),
    ("layer_norm", {}, 35_136),
    ("bitfit", {}, 155_520),
    ("lora", {"rank": 8, **QV}, 460_800),
    ("lora", {"rank": 8}, 2_442_240),
    ("dora", {"rank": 8}, 2_597_760),
    ("adalora", QV, 691_920),
    ("vera", {}, 38_400),
    ("oft", {}, 535_680),
    ("loha", {}, 921_600),
    ("lokr", {}, 47_040),
    ("ia3", {}, 57_600),
    ("houlsby", {}, 4_462_080),
    ("pfeiffer", {}, 2_231_040),
    ("intrinsic_dimension", {}, 1_000),
    ("prompt_tuning", {}, 11_520),
    ("p_tuning", {}, 176_192),
    ("prefix_tuning", {}, 230_400),
    ("prefix_tuning", {"mlp": True}, 6_012_416),
]


@pytest.mark.parametrize(("method", "options", "counted"), MINILM)
def test_on_an_encoder(method: str, options: dict[str, Any], counted: int) -> None:
    chosen = find_method(method).options.from_json(options)
    find_method(method).check(minilm(), chosen)
    assert find_method(method).trainable_parameters(minilm(), chosen, "text-classification", 2) == counted


@pytest.mark.parametrize(("method", "options", "counted"), SMOLLM2)
def test_on_a_decoder(method: str, options: dict[str, Any], counted: int) -> None:
    chosen = find_method(method).options.from_json(options)
    find_method(method).check(smollm2(), chosen)
    assert find_method(method).trainable_parameters(smollm2(), chosen, "causal-lm", 0) == counted


def test_every_method_is_counted_on_a_real_network() -> None:
    assert {method for method, _, _ in MINILM} == set(METHODS)


@pytest.mark.parametrize(
    ("method", "options", "field", "words"),
    [
        ("last_k", {"k": 7}, "k", "6 blocks"),
        ("oft", {"block_size": 100}, "block_size", "384"),
        ("loha", {"rank": 385}, "rank", "384"),
        ("dora", {"targets": ["gate"]}, "targets", "no linear layer of the kind gate"),
        ("ia3", {"targets": ["gate"]}, "targets", "q, k, v"),
        ("lora", {"targets": ["q", "gate"]}, "targets", "Choose of those it has: q, k, v, o, up, down."),
        ("vera", {"targets": ["q", "v", "gate"]}, "targets", "no linear layer of the kind gate."),
        ("vera", {"rank": 16_384}, "rank", "Use 1,024 or less"),
        ("lokr", {"rank": 4_096}, "rank", "384 or less"),
        ("houlsby", {"bottleneck": 16_384}, "bottleneck", "384 wide"),
        ("pfeiffer", {"bottleneck": 385}, "bottleneck", "Use 384 or less"),
        ("prompt_tuning", {"length": 600}, "length", "Use 504 or less"),
        ("p_tuning", {"length": 600}, "length", "`length` is 600"),
        ("prefix_tuning", {"length": 600}, "length", "512 places"),
    ],
)
def test_what_cannot_work_is_refused_with_what_can(
    method: str, options: dict[str, Any], field: str, words: str
) -> None:
    with pytest.raises(OptionsError) as refused:
        find_method(method).check(minilm(), find_method(method).options.from_json(options))
    assert refused.value.field == field
    assert words in refused.value.message + refused.value.hint


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("lora", {"targets": ["q", "k", "v", "o", "up", "gate", "down"]}),
        ("vera", {"targets": ["q", "k", "v", "o", "up", "gate", "down"]}),
        ("vera", {"rank": 1_024}),
        ("lokr", {"rank": 384}),
        ("houlsby", {"bottleneck": 384}),
    ],
)
def test_all_kinds_mean_those_that_are_there_and_the_largest_size_fits(method: str, options: dict[str, Any]) -> None:
    find_method(method).check(minilm(), find_method(method).options.from_json(options))


@pytest.mark.parametrize("method", ["houlsby", "pfeiffer", "vera"])
def test_start_values_work_on_the_narrowest_base_models(method: str) -> None:
    find_method(method).check(replace(fused(), hidden=16), find_method(method).options.from_json({}))


def test_a_vera_rank_may_be_as_large_as_a_wide_base_model() -> None:
    vera = find_method("vera")
    vera.check(replace(minilm(), hidden=4_096), vera.options.from_json({"rank": 4_096}))


def test_bitfit_needs_biases_or_leave_to_add_some() -> None:
    bitfit = find_method("bitfit")
    with pytest.raises(OptionsError, match="no biases"):
        bitfit.check(smollm2(), bitfit.options.from_json({"add_missing": False}))
    bitfit.check(minilm(), bitfit.options.from_json({"add_missing": False}))


def test_methods_that_cannot_work_on_transposed_weights_say_so() -> None:
    for name in ("oft", "loha", "lokr"):
        assert "transposed" in find_method(name).refusal(fused(), "causal-lm")
    assert not find_method("ia3").refusal(fused(), "causal-lm")
