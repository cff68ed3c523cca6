"""Prefix tuning: in an encoder-decoder the prefix is the decoder's; where the library cannot go on, it is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PrefixTuningConfig
from safetensors.torch import load_file
from transformers import BartConfig, BartForConditionalGeneration, T5Config, T5ForConditionalGeneration

from tests.training import toys
from tests.training.architectures import ended_byte_tokenizer
from tests.training.methods.loading import loaded_by_card
from tests.training.methods.starting import started
from workers.methods import find_method
from workers.methods.options import OptionsError
from workers.training.methods import EQUIPMENT, peft_native
from workers.training.methods.prompt_start import text_ids

TEXT, LENGTH, SAID = "say it", 6, 8


def test_the_table_is_what_the_network_made(decoder: Path, tmp_path: Path) -> None:
    start = started(decoder, "prefix_tuning", "causal-lm", {"length": 4, "mlp": True, "width": 8})
    start.move()
    spec = toys.spec(decoder, toys.sums(8), "", "prefix_tuning", {}, {})
    EQUIPMENT["prefix_tuning"].export(start.model, tmp_path, spec)
    stored = load_file(tmp_path / "adapter_model.safetensors")
    assert set(stored) == {"prompt_embeddings"}
    encoder = start.model.prompt_encoder["default"]
    into, _, out = encoder.transform
    with torch.no_grad():
        hidden = torch.tanh(encoder.embedding.weight @ into.weight.T + into.bias)
        wanted = hidden @ out.weight.T + out.bias
    # Keys and values of two blocks, as wide as one head: queries are grouped.
    assert wanted.shape == (4, 2 * 2 * 16)
    torch.testing.assert_close(stored["prompt_embeddings"], wanted, rtol=1e-5, atol=1e-5)


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
    start = started(uneven, "prefix_tuning", "seq2seq", {"length": LENGTH, "width": 8, **options})
    model, shape = start.model, toys.shape_of(uneven)
    made = model.get_prompt(1)
    assert len(made.self_attention_cache.layers) == shape.decoder_layers == 2
    assert not made.cross_attention_cache.layers, "the attention over the source has no prefix"
    if options.get("start") == "text":
        ids = torch.tensor([text_ids(start.setting, TEXT, LENGTH)])
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
    model = started(uneven, "prefix_tuning", "seq2seq", {"length": LENGTH}).model
    assert torch.equal(answer(model, last=9)[:, :3], answer(model, last=11)[:, :3])


def test_the_card_of_a_prefix_answers_and_generates_alike_in_an_encoder_decoder(uneven: Path, tmp_path: Path) -> None:
    spec = toys.spec(uneven, toys.echoes(8), "", "prefix_tuning", {}, {})
    model = started(uneven, "prefix_tuning", "seq2seq", {"length": LENGTH, "start": "random"}).model
    with torch.no_grad():
        for each in model.parameters():
            each.mul_(4)
    source, said = torch.tensor([[5, 6, 7, 8]]), [0]
    loaded = loaded_by_card(model, spec, uneven, tmp_path / "artifact")
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


def test_a_prefix_and_gradient_checkpointing_exclude_each_other(decoder: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionsError) as refused:
        toys.job(tmp_path / "a", decoder, toys.sums(40), "prefix_tuning", gradient_checkpointing=True)
    assert refused.value.field == "gradient_checkpointing"
