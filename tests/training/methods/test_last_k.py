"""Last-k trains a language model's own output layer when asked to, and no block but the decoder's last ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.methods.shapes import minilm, smollm2
from tests.training import toys
from tests.training.methods.cells import Cell, Trained, trained
from workers.methods import find_method
from workers.methods.last_k import LastKOptions
from workers.methods.options import OptionsError

LAST_K = find_method("last_k")


@pytest.fixture(params=[True, False], ids=["with the head", "without"])
def cell(request: pytest.FixtureRequest, tmp_path: Path) -> Trained:
    untied = toys.decoder_folder(tmp_path / "untied", tied=False)
    return trained(tmp_path, untied, Cell("llama", "causal-lm", "last_k", json.dumps({"k": 1, "head": request.param})))


def test_an_output_layer_of_its_own_trains_where_it_is_wished(cell: Trained) -> None:
    options = cell.chosen
    assert isinstance(options, LastKOptions)
    given = cell.shape, options, cell.cell.task, cell.labels
    assert cell.plan["trainable_parameters"] == LAST_K.trainable_parameters(*given)
    assert cell.plan["total_parameters"] == LAST_K.total_parameters(*given)
    stored = load_file(cell.job.artifact / "delta.safetensors")
    assert 4 * sum(each.numel() for each in stored.values()) == LAST_K.artifact_bytes(*given)
    assert ("lm_head.weight" in stored) == options.head
    assert (
        torch.equal(cell.attempt.before["lm_head.weight"], cell.model.get_parameter("lm_head.weight")) != options.head
    )
    assert torch.equal(cell.logits(cell.merged()), cell.logits())


def test_an_output_layer_that_is_the_embeddings_is_refused() -> None:
    with pytest.raises(OptionsError, match="table of embeddings") as refused:
        LAST_K.check(smollm2(), LastKOptions(head=True))
    assert refused.value.field == "head"
    assert "full fine-tuning" in refused.value.hint


def test_in_classification_the_option_changes_nothing(tmp_path: Path) -> None:
    untied = toys.shape_of(toys.decoder_folder(tmp_path, tied=False))
    assert untied.untied_output_parameters()
    for shape in (minilm(), untied):
        LAST_K.check(shape, LastKOptions(head=True))
        with_it, without = (
            LAST_K.trainable_parameters(shape, LastKOptions(head=head), "text-classification", 2)
            for head in (True, False)
        )
        assert with_it == without


def test_no_block_of_the_encoder_trains(base_models: dict[str, Path]) -> None:
    shape = toys.shape_of(base_models["t5"])
    LAST_K.check(shape, LastKOptions(k=2))
    with pytest.raises(OptionsError, match="the decoder has 2 blocks") as refused:
        LAST_K.check(shape, LastKOptions(k=3))
    assert (refused.value.field, len(shape.blocks)) == ("k", 4)
