"""BitFit on a base model without biases: it is given some, and merged it is a plain model that has them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.training import toys
from workers.methods import find_method
from workers.training import base_model
from workers.training.methods import EQUIPMENT
from workers.training.methods.equipping import CannotMerge, Setting

BITFIT = find_method("bitfit")


def with_biases(folder: Path, task: str = "causal-lm") -> tuple[torch.nn.Module, torch.Tensor]:
    """A toy with new biases, moved away from zero, and some input for it."""
    setting = Setting("causal-lm", base_model.load_tokenizer(folder), (), total_steps=10, seed=17)
    network = toys.network(folder, "seq2seq" if task == "seq2seq" else "causal-lm", ())
    model = EQUIPMENT["bitfit"].equip(network, BITFIT.options(), setting)
    with torch.no_grad():
        for each in model.parameters():
            if each.requires_grad:
                each.add_(torch.randn_like(each))
    return model.eval(), torch.tensor([[5, 6, 7, 8]])


def test_merged_saved_and_loaded_again_it_answers_alike(decoder: Path, tmp_path: Path) -> None:
    model, inputs = with_biases(decoder)
    with torch.no_grad():
        wanted = model(input_ids=inputs).logits
        EQUIPMENT["bitfit"].merge(model).save_pretrained(tmp_path)
        loaded = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).eval()
        assert torch.equal(loaded(input_ids=inputs).logits, wanted)
    assert (loaded.config.attention_bias, loaded.config.mlp_bias) == (True, True)


def test_an_architecture_without_a_place_for_biases_is_not_merged(base_models: dict[str, Path]) -> None:
    model, _ = with_biases(base_models["t5"], "seq2seq")
    with pytest.raises(CannotMerge, match="no place for new biases"):
        EQUIPMENT["bitfit"].merge(model)
    shape = toys.shape_of(base_models["t5"])
    assert "no place for them" in BITFIT.merge_refusal(shape, BITFIT.options())


def test_existing_biases_train_and_none_is_added(encoder: Path) -> None:
    setting = Setting("text-classification", base_model.load_tokenizer(encoder), ("a", "b"), total_steps=10, seed=17)
    network = toys.network(encoder, "text-classification", ("a", "b"))
    before = {name for name, _ in network.named_parameters()}
    model = EQUIPMENT["bitfit"].equip(network, BITFIT.options(), setting)
    assert {name for name, _ in model.named_parameters()} == before
    trained = {name for name, each in model.named_parameters() if each.requires_grad}
    assert trained == {name for name in before if name.endswith(".bias")} | {"classifier.weight"}
