"""What is shown before hours go by: the loss mask of the first rows, and trained parameters by kind of module."""

from __future__ import annotations

import pytest

from tests.training.conftest import MakeJob, Trainer
from tests.training.toys import byte_tokenizer
from workers.training.samples import IGNORED, Sample
from workers.training.showing import CHARACTERS_SHOWN, first_rows, kind_of


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("base_model.model.bert.encoder.layer.0.attention.self.query.lora_A.default.weight", "q"),
        ("base_model.model.model.layers.3.mlp.down_proj.lora_B.default.weight", "down"),
        ("base_model.model.classifier.modules_to_save.default.weight", "head"),
        ("bert.encoder.layer.1.output.LayerNorm.bias", "norm"),
        ("prompt_encoder.default.embedding.weight", "prompt"),
        ("bert.embeddings.word_embeddings.weight", "other"),
    ],
)
def test_a_parameter_is_counted_where_it_stands(name: str, kind: str) -> None:
    assert kind_of(name, "llama" if "down_proj" in name else "bert") == kind


def test_the_loss_mask_is_shown_as_runs_of_text() -> None:
    tokenizer = byte_tokenizer()
    prompt, answer = tokenizer("ask ").input_ids, tokenizer("good").input_ids
    sample = Sample([*prompt, *answer], [*[IGNORED] * len(prompt), *answer])
    (row,) = first_rows([sample], tokenizer)
    assert [(run["text"], run["trained"]) for run in row["runs"]] == [("ask ", False), ("good", True)]
    assert not row["cut"]


def test_a_row_that_is_longer_than_a_page_is_cut_and_says_so() -> None:
    tokenizer = byte_tokenizer()
    ids = tokenizer("x" * (CHARACTERS_SHOWN + 50)).input_ids
    (row,) = first_rows([Sample(ids, ids)], tokenizer)
    assert row["cut"]
    assert sum(len(run["text"]) for run in row["runs"]) == CHARACTERS_SHOWN
    assert row["tokens"] == len(ids)


def test_the_plan_brings_both(classify: MakeJob, train: Trainer) -> None:
    plan = train(classify(max_steps=1)).of("plan")[0]
    modules = plan["trained_modules"]
    assert sum(each["parameters"] for each in modules) == plan["trainable_parameters"]
    kinds = {each["kind"] for each in modules}
    assert {"q", "v", "head"} <= kinds
    assert "other" not in kinds
    assert all(run["text"] for row in plan["first_rows"] for run in row["runs"])
