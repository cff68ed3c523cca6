"""Resolving fills in all that a person left out, and refuses what cannot work."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from tests.methods.shapes import minilm, smollm2
from workers.methods import find_method
from workers.methods.hyperparameters import Training
from workers.methods.options import OptionsError
from workers.methods.resolving import resolve, start_values
from workers.methods.shape import Shape
from workers.protocol import Task


def resolved(
    options: dict[str, Any] | None = None,
    training: dict[str, Any] | None = None,
    *,
    shape: Shape | None = None,
    task: Task = "text-classification",
    eval_rows: int = 100,
) -> tuple[dict[str, Any], dict[str, Any]]:
    return resolve(find_method("lora"), options or {}, training or {}, shape or minilm(), task, 1_600, eval_rows)


def test_nothing_is_left_open() -> None:
    options, training = resolved()
    assert options == {
        "rank": 16,
        "alpha": 32.0,
        "dropout": 0.0,
        "targets": ["q", "k", "v", "o", "up", "gate", "down"],
        "use_rslora": False,
        "lora_plus_ratio": 1.0,
        "start": "zero",
    }
    assert set(training) == {field.name for field in fields(Training)}
    assert training["learning_rate"] == pytest.approx(1e-3)
    assert (training["batch_size"], training["max_length"]) == (16, 128)
    assert training["eval_every"] == training["save_every"] == 30


def test_what_a_person_said_stays() -> None:
    _, training = resolved(training={"learning_rate": 1e-4, "eval_every": 7, "batch_size": None})
    assert (training["learning_rate"], training["eval_every"], training["save_every"]) == (1e-4, 7, 30)
    assert training["batch_size"] == 16


def test_a_short_training_is_not_outweighed_by_its_evaluations() -> None:
    _, training = resolved(training={"max_steps": 40, "batch_size": 4}, eval_rows=100)
    assert training["eval_every"] == 14
    assert training["save_every"] == 4


def test_a_decoder_starts_with_longer_rows_and_smaller_batches() -> None:
    training = start_values(find_method("lora"), "causal-lm", smollm2(), 1_600)
    assert (training["max_length"], training["batch_size"]) == (512, 4)


def test_length_never_passes_what_the_base_model_reads() -> None:
    short = replace(minilm(), positions=64)
    assert resolved(shape=short)[1]["max_length"] == 64
    with pytest.raises(OptionsError) as refused:
        resolved(training={"max_length": 65}, shape=short)
    assert refused.value.field == "max_length"


@pytest.mark.parametrize("method", ["prompt_tuning", "p_tuning", "prefix_tuning"])
def test_a_prompt_longer_than_the_context_is_told_of_the_prompt(method: str) -> None:
    short = replace(smollm2(), positions=512)
    for length in (505, 600):
        with pytest.raises(OptionsError) as refused:
            resolve(find_method(method), {"length": length}, {}, short, "causal-lm", 100, 10)
        assert refused.value.field == "length"
        assert f"`length` is {length}" in refused.value.message
    _, training = resolve(find_method(method), {"length": 504}, {}, short, "causal-lm", 100, 10)
    assert training["max_length"] == 8


@pytest.mark.parametrize(
    ("training", "field"),
    [
        ({"quantize": "nf4"}, "quantize"),
        ({"epochs": -1}, "epochs"),
        ({"epoch": 3}, "epoch"),
        ({"learning_rate": "fast"}, "learning_rate"),
    ],
)
def test_training_that_cannot_work_is_refused_by_field(training: dict[str, Any], field: str) -> None:
    with pytest.raises(OptionsError) as refused:
        resolved(training=training)
    assert refused.value.field == field
    assert refused.value.hint


def test_early_stopping_needs_eval_rows() -> None:
    with pytest.raises(OptionsError) as refused:
        resolved(training={"early_stopping_patience": 2}, eval_rows=0)
    assert refused.value.field == "early_stopping_patience"


def test_a_task_the_method_does_not_offer_is_refused() -> None:
    narrow = replace(find_method("lora"), tasks=("causal-lm",))
    with pytest.raises(OptionsError) as refused:
        resolve(narrow, {}, {}, minilm(), "text-classification", 100, 10)
    assert refused.value.field == "method"
    assert "it is for causal-lm" in refused.value.message
