"""What methods with virtual tokens share: a start at a text is that text, and the card generates with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training import toys
from tests.training.methods.loading import loaded_by_card
from tests.training.methods.starting import started
from workers.training import base_model
from workers.training.methods.equipping import Setting
from workers.training.methods.prompt_start import text_ids, vocabulary_ids

TEXT, LENGTH, SAID = "say it", 6, 8


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
@pytest.mark.parametrize("method", ["prompt_tuning", "prefix_tuning"])
def test_started_at_a_text_the_network_reads_that_text(
    method: str, architecture: str, base_models: dict[str, Path]
) -> None:
    options = {"length": LENGTH, "start": "text", "start_text": TEXT}
    start = started(base_models[architecture], method, "causal-lm", options)
    before = text_ids(start.setting, TEXT, LENGTH)
    text = start.inputs["input_ids"][0].tolist()
    with torch.no_grad():
        here = start.model(**start.inputs).logits
        wanted = start.plain(input_ids=torch.tensor([before + text])).logits
    torch.testing.assert_close(here[:, -len(text) :], wanted[:, -len(text) :], rtol=1e-5, atol=1e-5)


OPTIONS: dict[str, dict[str, Any]] = {
    "prompt_tuning": {"length": LENGTH, "start": "random"},
    "p_tuning": {"length": LENGTH, "width": 8},
    "prefix_tuning": {"length": LENGTH, "start": "random"},
}


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
@pytest.mark.parametrize("method", OPTIONS)
def test_the_card_generates_what_the_trained_network_would_say(
    method: str, architecture: str, base_models: dict[str, Path], tmp_path: Path
) -> None:
    """Token by token as `generate` of the card's model, and with all that was said so far anew in training's."""
    folder = base_models[architecture]
    start = started(folder, method, "causal-lm", OPTIONS[method])
    with torch.no_grad():
        for each in start.model.parameters():
            each.mul_(4 if each.requires_grad else 2)  # so that the delta has its say, and the network an opinion
    asked = start.setting.tokenizer("good film", return_tensors="pt")
    said = said_by(start.model, asked["input_ids"][0].tolist())
    loaded = loaded_by_card(start.model, toys.spec(folder, toys.sums(8), "", method, {}, {}), folder, tmp_path)
    for _ in range(2):
        assert loaded.generate(**asked, max_new_tokens=SAID, do_sample=False, eos_token_id=None)[0].tolist() == said


def said_by(model: Any, ids: list[int]) -> list[int]:
    for _ in range(SAID):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long))
        ids = [*ids, int(logits.logits[0, -1].argmax())]
    return ids


def test_a_text_is_repeated_or_cut_to_length_and_without_one_the_labels_speak(encoder: Path) -> None:
    tokenizer = base_model.load_tokenizer(encoder)
    setting = Setting("text-classification", tokenizer, ("good", "bad"), total_steps=10, seed=17)
    assert tokenizer.decode(text_ids(setting, "the film", 5)).split() == ["the", "film", "the", "film", "the"]
    assert tokenizer.decode(text_ids(setting, "", 3)).split() == ["good", "bad", "good"]
    drawn = vocabulary_ids(setting, 50)
    assert drawn == vocabulary_ids(setting, 50)
    assert not set(drawn) & set(tokenizer.all_special_ids)
