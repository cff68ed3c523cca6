"""The starter catalogue against the real packages: fetched, converted, loaded. Needs a package index."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from tests.methods import shapes
from tests.starter.conftest import Answered
from webapp.jobs.starter_catalogue import ENTRIES
from workers.methods.shape import Shape
from workers.training.starter import BASE_MODELS, DATASETS


def test_every_entry_has_its_converter_and_a_full_hash() -> None:
    for name, entry in ENTRIES.items():
        assert entry.name == name
        assert entry.converter in (BASE_MODELS if entry.kind == "base_model" else DATASETS)
        assert len(bytes.fromhex(entry.sha256)) == 32
        assert entry.download_bytes > 0
        assert (entry.rows > 0) == (entry.kind == "dataset")


def test_the_first_run_has_an_encoder_a_decoder_and_a_dataset_for_each() -> None:
    first = [entry for entry in ENTRIES.values() if entry.default]
    for task in ("text-classification", "causal-lm"):
        assert {entry.kind for entry in first if task in entry.tasks} == {"base_model", "dataset"}


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "rows.jsonl").open(encoding="utf-8")]


@pytest.mark.slow
@pytest.mark.starter
def test_minilm_is_an_encoder_that_loads_as_it_is(answered: Answered) -> None:
    facts, folder = answered("minilm")
    assert Shape.from_json(facts["shape"]) == shapes.minilm()
    assert (facts["parameters"], facts["tasks"], facts["dtype"]) == (22_713_216, ["text-classification"], "float32")
    assert (facts["licence"], facts["chat_template"]) == ("Apache-2.0", False)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    assert len(tokenizer("fine")["input_ids"]) == 3
    assert torch.isfinite(model(**tokenizer("A fine film.", return_tensors="pt")).logits).all()


@pytest.mark.slow
@pytest.mark.starter
def test_smollm2_speaks_after_its_conversion(answered: Answered) -> None:
    facts, folder = answered("smollm2")
    assert Shape.from_json(facts["shape"]) == shapes.smollm2()
    assert (facts["parameters"], facts["dtype"], facts["chat_template"]) == (134_515_008, "float16", True)
    assert facts["tasks"] == ["causal-lm", "text-classification"]
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    asked = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    said = model.generate(**prompt, max_new_tokens=10, do_sample=False)[0][prompt["input_ids"].shape[1] :]
    assert "Paris" in tokenizer.decode(said)


@pytest.mark.slow
@pytest.mark.starter
def test_flan_t5_writes_after_its_conversion(answered: Answered) -> None:
    facts, folder = answered("flan_t5")
    shape = Shape.from_json(facts["shape"])
    assert (facts["tasks"], facts["dtype"], facts["model_type"]) == (["seq2seq"], "float16", "t5")
    assert (shape.hidden, shape.key_value, shape.layers, shape.decoder_layers) == (512, 384, 16, 8)
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=torch.float32)
    counted = sum(each.numel() for each in model.parameters())
    assert shape.parameters + shape.untied_output_parameters() == counted == 76_961_152
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    asked = tokenizer("translate English to German: How old are you?", return_tensors="pt")
    assert "Sie" in tokenizer.decode(model.generate(**asked, max_new_tokens=12, do_sample=False)[0])


@pytest.mark.slow
@pytest.mark.starter
def test_news_headlines_are_articles_and_their_titles(answered: Answered) -> None:
    answer, folder = answered("news_headlines")
    rows = rows_of(folder)
    assert answer == {"task": "seq2seq", "rows": 3_689}
    assert Counter(row["split"] for row in rows) == {"train": 2_959, "eval": 730}
    assert all(set(row) == {"split", "source", "target"} and row["source"] and row["target"] for row in rows)
    assert len({row["target"] for row in rows}) == len(rows)


@pytest.mark.slow
@pytest.mark.starter
def test_movie_snippets_are_two_labels_in_two_splits(answered: Answered) -> None:
    answer, folder = answered("movie_snippets")
    rows = rows_of(folder)
    assert answer == {"task": "text-classification", "rows": 10_566}
    assert Counter(row["split"] for row in rows) == {"train": 8_477, "eval": 2_089}
    assert Counter(row["label"] for row in rows) == {"neg": 5_325, "pos": 5_241}
    assert all(set(row) == {"split", "text", "label"} for row in rows)
    assert not {row["text"] for row in rows if row["split"] == "eval"} & {
        row["text"] for row in rows if row["split"] == "train"
    }


@pytest.mark.slow
@pytest.mark.starter
def test_chatterbot_is_people_and_assistant_in_turns(answered: Answered) -> None:
    answer, folder = answered("chatterbot_en")
    rows = rows_of(folder)
    assert answer == {"task": "causal-lm", "rows": 898}
    assert Counter(row["split"] for row in rows) == {"train": 802, "eval": 96}
    for row in rows:
        roles = [message["role"] for message in row["messages"]]
        assert roles == ["user", "assistant"] * (len(roles) // 2)


@pytest.mark.slow
@pytest.mark.starter
def test_sentences_come_from_an_npm_package(answered: Answered) -> None:
    answer, folder = answered("sentences")
    assert answer == {"task": "text-classification", "rows": 2_982}
    assert Counter(row["split"] for row in rows_of(folder)) == {"train": 2_408, "eval": 574}
