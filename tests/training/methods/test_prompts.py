"""Virtual tokens that start at a text are that text, to the last position, and what cannot work is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PrefixTuningConfig
from transformers import BartConfig, BartForConditionalGeneration, T5Config, T5ForConditionalGeneration

from tests.training import toys
from tests.training.architectures import ended_byte_tokenizer
from workers.methods import find_method
from workers.methods.options import OptionsError
from workers.protocol import JobSpec, Task
from workers.training import base_model
from workers.training.methods import EQUIPMENT, peft_native
from workers.training.methods.equipping import Setting
from workers.training.methods.prompt_start import text_ids, vocabulary_ids

TEXT, LENGTH, SAID = "say it", 6, 8


def equipped(folder: Path, method: str, options: dict[str, Any], task: Task = "causal-lm") -> tuple[Any, Any, Setting]:
    """The equipped toy, and the same one untouched."""
    tokenizer = base_model.load_tokenizer(folder)
    setting = Setting(task, tokenizer, (), total_steps=10, seed=17)
    networks = [base_model.load_network(folder, task, (), tokenizer, torch.float32, 17) for _ in range(2)]
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


ENCODER_DECODERS: dict[str, tuple[Any, Any]] = {
    "t5": (
        T5ForConditionalGeneration,
        T5Config(d_model=32, d_kv=8, d_ff=64, num_heads=2, num_layers=3, num_decoder_layers=2, dropout_rate=0.0),
    ),
    "bart": (
        BartForConditionalGeneration,
        BartConfig(
            d_model=32,
            encoder_layers=3,
            decoder_layers=2,
            encoder_attention_heads=2,
            decoder_attention_heads=4,
            encoder_ffn_dim=64,
            decoder_ffn_dim=64,
            max_position_embeddings=64,
            dropout=0.0,
            forced_eos_token_id=None,
        ),
    ),
}
"""Encoders of other depth and heads than their decoders."""


@pytest.fixture(params=ENCODER_DECODERS)
def uneven(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    torch.manual_seed(1)
    tokenizer = ended_byte_tokenizer()
    kind, config = ENCODER_DECODERS[request.param]
    special = {"pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0, "bos_token_id": 0}
    network = kind(type(config).from_dict({**config.to_dict(), **special, "vocab_size": len(tokenizer)}))
    network.save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    return tmp_path / "base"


@pytest.mark.parametrize("options", [{"start": "text", "start_text": TEXT}, {"start": "random"}, {"mlp": True}])
def test_a_prefix_of_an_encoder_decoder_reaches_each_block_of_the_decoder(
    options: dict[str, Any], uneven: Path
) -> None:
    model, _, setting = equipped(uneven, "prefix_tuning", {"length": LENGTH, "width": 8, **options}, "seq2seq")
    shape = toys.shape_of(uneven)
    made = model.get_prompt(1)
    assert len(made.self_attention_cache.layers) == shape.decoder_layers == 2
    assert not made.cross_attention_cache.layers, "the attention over the source has no prefix"
    if options.get("start") == "text":
        ids = torch.tensor([text_ids(setting, TEXT, LENGTH)])
        cache = model.get_base_model()(input_ids=ids, decoder_input_ids=ids, use_cache=True).past_key_values
        for prefix, text in zip(made.self_attention_cache.layers, cache.self_attention_cache.layers, strict=True):
            torch.testing.assert_close(prefix.keys, text.keys)
            torch.testing.assert_close(prefix.values, text.values)
    torch.autograd.backward(answer(model).square().sum())
    for name, each in model.named_parameters():
        assert (each.grad is not None) == each.requires_grad, name
        if each.requires_grad and each.ndim == 2:
            assert each.grad.any(dim=1).all(), f"a row of {name} never learns"


def answer(model: Any, last: int = 9) -> torch.Tensor:
    """Logits for two sources, one of them padded, whose target ends with this token."""
    sources, target = torch.tensor([[5, 6, 7, 8], [9, 5, 0, 0]]), torch.tensor([[0, 7, 8, last]] * 2)
    read = {"input_ids": sources, "attention_mask": (sources != 0).long()}
    logits: torch.Tensor = model(**read, decoder_input_ids=target).logits
    return logits


def test_behind_a_prefix_a_decoder_sees_no_later_token(uneven: Path) -> None:
    """With one cache for both, the attention over the source would see the whole target."""
    model, _, _ = equipped(uneven, "prefix_tuning", {"length": LENGTH}, "seq2seq")
    assert torch.equal(answer(model, last=9)[:, :3], answer(model, last=11)[:, :3])


def test_the_card_of_a_prefix_answers_and_generates_alike_in_an_encoder_decoder(uneven: Path, tmp_path: Path) -> None:
    spec = JobSpec.from_json(
        json.loads(toys.job(tmp_path / "job", uneven, toys.echoes(8), "prefix_tuning").spec.read_text())
    )
    model, _, _ = equipped(uneven, "prefix_tuning", {"length": LENGTH, "start": "random"}, "seq2seq")
    with torch.no_grad():
        for each in model.parameters():
            each.mul_(4)
    source, said = torch.tensor([[5, 6, 7, 8]]), [0]
    loaded = loaded_by_card(model, spec, "prefix_tuning", uneven, tmp_path / "artifact")
    for _ in range(SAID):
        with torch.no_grad():
            logits = model(input_ids=source, decoder_input_ids=torch.tensor([said])).logits
            assert torch.equal(loaded(input_ids=source, decoder_input_ids=torch.tensor([said])).logits, logits)
        said.append(int(logits[0, -1].argmax()))
    asked = {"max_new_tokens": SAID, "do_sample": False, "num_beams": 1, "eos_token_id": None}
    assert loaded.generate(input_ids=source, **asked)[0].tolist() == said
    assert loaded.generate(input_ids=source, **asked | {"num_beams": 3}).shape == (1, SAID + 1)


@pytest.mark.parametrize("architecture", ["bert", "roberta", "llama", "gpt2"])
def test_a_prefix_before_a_classifier_is_refused_since_the_library_refuses_it(
    architecture: str, base_models: dict[str, Path]
) -> None:
    """Falls once it works: then it can be offered."""
    folder = base_models[architecture]
    why = find_method("prefix_tuning").refusal(toys.shape_of(folder), "text-classification")
    assert "under a name that transformers no longer knows" in why
    network = toys.network(folder, "text-classification", ("no", "yes"))
    config = PrefixTuningConfig(num_virtual_tokens=4, num_transformer_submodules=1)
    with pytest.raises(ValueError, match="does not support past key values"):
        peft_native.equipped(network, config, "text-classification")(input_ids=torch.tensor([[5, 6]]))


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
    with pytest.raises(OptionsError, match="`length` is 100, and of the 64 places"):
        toys.job(tmp_path / "b", decoder, rows, "prompt_tuning", {"length": 100})
    assert toys.job(tmp_path / "c", decoder, rows, "prompt_tuning", {"length": 20}).spec.is_file()


def test_a_prefix_and_gradient_checkpointing_exclude_each_other(decoder: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionsError) as refused:
        toys.job(tmp_path / "a", decoder, toys.sums(40), "prefix_tuning", gradient_checkpointing=True)
    assert refused.value.field == "gradient_checkpointing"
