"""Virtual tokens that start at a text are that text, to the last position, and what cannot work is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training import toys
from workers.methods import find_method
from workers.methods.options import OptionsError
from workers.protocol import JobSpec
from workers.training import base_model
from workers.training.methods import EQUIPMENT
from workers.training.methods.equipping import Setting
from workers.training.methods.prompt_start import text_ids, vocabulary_ids

TEXT, LENGTH, SAID = "say it", 6, 8


def equipped(folder: Path, method: str, options: dict[str, Any]) -> tuple[Any, Any, Setting]:
    """The equipped toy, and the same one untouched."""
    tokenizer = base_model.load_tokenizer(folder)
    setting = Setting("causal-lm", tokenizer, (), total_steps=10, seed=17)
    networks = [base_model.load_network(folder, "causal-lm", (), tokenizer, torch.float32, 17) for _ in range(2)]
    chosen = find_method(method).options.from_json(options)
    return EQUIPMENT[method].equip(networks[0], chosen, setting).eval(), networks[1].eval(), setting


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
@pytest.mark.parametrize("method", ["prompt_tuning", "prefix_tuning"])
def test_started_at_a_text_the_network_reads_that_text(
    method: str, architecture: str, base_models: dict[str, Path]
) -> None:
    model, plain, setting = equipped(
        base_models[architecture], method, {"length": LENGTH, "start": "text", "start_text": TEXT}
    )
    before = text_ids(setting, TEXT, LENGTH)
    text = setting.tokenizer("good film")["input_ids"]
    with torch.no_grad():
        here = model(input_ids=torch.tensor([text]), attention_mask=torch.ones(1, len(text), dtype=torch.long)).logits
        wanted = plain(input_ids=torch.tensor([before + text])).logits
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
    spec = JobSpec.from_json(json.loads(toys.job(tmp_path / "job", folder, toys.sums(8), method).spec.read_text()))
    model, _, setting = equipped(folder, method, OPTIONS[method])
    with torch.no_grad():
        for each in model.parameters():
            each.mul_(4 if each.requires_grad else 2)  # so that the delta has its say, and the network an opinion
    said = said_by(model, setting.tokenizer("good film")["input_ids"])
    loaded = loaded_by_card(model, spec, method, folder, tmp_path / "artifact")
    asked = setting.tokenizer("good film", return_tensors="pt")
    for _ in range(2):
        assert loaded.generate(**asked, max_new_tokens=SAID, do_sample=False, eos_token_id=None)[0].tolist() == said


def said_by(model: Any, ids: list[int]) -> list[int]:
    for _ in range(SAID):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long))
        ids = [*ids, int(logits.logits[0, -1].argmax())]
    return ids


def loaded_by_card(model: Any, spec: JobSpec, method: str, base: Path, artifact: Path) -> Any:
    """The model that the lines of the artifact's card leave behind, on the weights that this one has now."""
    model.get_base_model().save_pretrained(artifact / "base")
    EQUIPMENT[method].export(model, artifact, spec)
    code = EQUIPMENT[method].snippet(spec).replace("'deltaboard/toy'", repr(str(artifact / "base")))
    base_model.load_tokenizer(base).save_pretrained(artifact)
    namespace: dict[str, Any] = {}
    exec(compile(code.replace('artifact = "."', f"artifact = {str(artifact)!r}"), "card.py", "exec"), namespace)
    return namespace["model"]


def test_a_text_is_repeated_or_cut_to_length_and_without_one_the_labels_speak(encoder: Path) -> None:
    tokenizer = base_model.load_tokenizer(encoder)
    setting = Setting("text-classification", tokenizer, ("good", "bad"), total_steps=10, seed=17)
    assert tokenizer.decode(text_ids(setting, "the film", 5)).split() == ["the", "film", "the", "film", "the"]
    assert tokenizer.decode(text_ids(setting, "", 3)).split() == ["good", "bad", "good"]
    drawn = vocabulary_ids(setting, 50)
    assert drawn == vocabulary_ids(setting, 50)
    assert not set(drawn) & set(tokenizer.all_special_ids)


def test_the_longest_row_leaves_room_for_the_prompt(decoder: Path, tmp_path: Path) -> None:
    rows = toys.sums(40)
    with pytest.raises(OptionsError) as refused:
        toys.job(tmp_path / "a", decoder, rows, "prompt_tuning", {"length": 20}, max_length=60)
    assert refused.value.field == "max_length"
    assert "44" in refused.value.hint
    with pytest.raises(OptionsError, match="takes 100 of the 64 places"):
        toys.job(tmp_path / "b", decoder, rows, "prompt_tuning", {"length": 100})
    assert toys.job(tmp_path / "c", decoder, rows, "prompt_tuning", {"length": 20}).spec.is_file()


def test_a_prefix_and_gradient_checkpointing_exclude_each_other(decoder: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionsError) as refused:
        toys.job(tmp_path / "a", decoder, toys.sums(40), "prefix_tuning", gradient_checkpointing=True)
    assert refused.value.field == "gradient_checkpointing"
