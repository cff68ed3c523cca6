"""Shapes read on the meta device against the real modules of toy models."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest
import transformers
from torch import nn
from transformers import PretrainedConfig

from tests.starter import toys
from workers.training.shape import MODEL_OF_TASK, ShapeError, read_shape

ATTENTION = {"q", "k", "v", "o"}
FAMILIES: dict[str, tuple[PretrainedConfig, set[str], str]] = {
    "bert": (toys.BERT, ATTENTION | {"up", "down"}, "linear"),
    "roberta": (toys.ROBERTA, ATTENTION | {"up", "down"}, "dense"),
    "distilbert": (toys.DISTILBERT, ATTENTION | {"up", "down"}, "dense"),
    "deberta": (toys.DEBERTA, ATTENTION | {"up", "down"}, "dense"),
    "llama": (toys.LLAMA, ATTENTION | {"gate", "up", "down"}, "linear_no_bias"),
    "untied llama": (toys.UNTIED_LLAMA, ATTENTION | {"gate", "up", "down"}, "linear_no_bias"),
    "phi3": (toys.PHI3, {"qkv", "o", "up", "down"}, "linear_no_bias"),
    "gpt2": (toys.GPT2, {"qkv", "o", "up", "down"}, "linear_no_bias"),
    "gpt_neox": (toys.GPT_NEOX, {"qkv", "o", "up", "down"}, "linear_no_bias"),
    "opt": (toys.OPT, ATTENTION | {"up", "down"}, "linear_no_bias"),
}
every_family = pytest.mark.parametrize(("config", "roles", "head"), FAMILIES.values(), ids=FAMILIES)


@every_family
def test_parameters_and_head_are_those_of_the_real_classifier(
    config: PretrainedConfig, roles: set[str], head: str
) -> None:
    shape, tasks = read_shape(config)
    labelled = type(config).from_dict({**config.to_dict(), "id2label": {n: str(n) for n in range(5)}})
    real = MODEL_OF_TASK["text-classification"].from_config(labelled)
    assert "text-classification" in tasks
    assert shape.head == head
    assert shape.parameters + shape.head_parameters(5) == sum(each.numel() for each in real.parameters())


@every_family
def test_every_block_has_each_role(config: PretrainedConfig, roles: set[str], head: str) -> None:
    shape, _ = read_shape(config)
    counted = Counter((linear.layer, linear.role) for linear in shape.linears if linear.role != "other")
    assert counted == {(layer, role): 1 for layer in (0, 1) for role in roles}
    assert (shape.hidden, shape.layers, shape.heads, shape.vocabulary) == (32, 2, 4, 100)


@every_family
def test_linears_have_the_names_and_widths_of_the_real_modules(
    config: PretrainedConfig, roles: set[str], head: str
) -> None:
    shape, tasks = read_shape(config)
    real = dict(MODEL_OF_TASK[tasks[0]].from_config(config).named_modules())
    for linear in shape.linears:
        module = real[linear.name]
        wide = module.weight.shape[::-1] if isinstance(module, nn.Linear) else module.weight.shape
        assert (linear.inputs, linear.outputs) == tuple(wide)
        assert linear.bias == (module.bias is not None)


def test_grouped_queries_make_keys_narrow() -> None:
    shape, tasks = read_shape(toys.LLAMA)
    assert shape.key_value == 16
    assert shape.feed_forward == 48
    assert tasks == ("causal-lm", "text-classification")


def test_an_output_layer_counts_neither_tied_nor_untied() -> None:
    tied, _ = read_shape(toys.LLAMA)
    untied, _ = read_shape(toys.UNTIED_LLAMA)
    assert tied.parameters == untied.parameters
    assert (tied.tied_embeddings, untied.tied_embeddings) == (True, False)
    assert [linear.name for linear in untied.linears if linear.role == "other"] == ["lm_head"]


def test_roberta_takes_two_tokens_less_than_its_table_has_rows() -> None:
    assert read_shape(toys.ROBERTA)[0].positions == 510
    assert read_shape(toys.BERT)[0].positions == 512


@pytest.mark.parametrize(("config", "layers"), [(toys.T5, 5), (toys.BART, 4)], ids=["t5", "bart"])
def test_decoder_blocks_are_numbered_behind_those_of_the_encoder(config: PretrainedConfig, layers: int) -> None:
    shape, tasks = read_shape(config)
    real = MODEL_OF_TASK["seq2seq"].from_config(config)
    assert tasks == ("seq2seq",)
    assert shape.layers == layers
    assert {linear.layer for linear in shape.linears if linear.role == "up"} == set(range(layers))
    assert shape.parameters == sum(each.numel() for each in real.parameters())


def test_a_shape_survives_json() -> None:
    shape, _ = read_shape(toys.GPT2)
    assert type(shape).from_json(shape.as_json()) == shape
    assert dataclasses.asdict(shape)["model_type"] == "gpt2"


def test_a_vision_model_is_refused_with_a_sentence() -> None:
    with pytest.raises(ShapeError, match="`vit` is no text model"):
        read_shape(transformers.ViTConfig())
