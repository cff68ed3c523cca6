"""QLoRA on a CPU: a 4-bit base that stays as it is, a delta that fits the full one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from bitsandbytes.functional import dequantize_4bit, quantize_4bit
from peft import PeftModel

from tests.methods.shapes import fused
from tests.training import toys
from tests.training.conftest import MakeJob, Trainer
from tests.training.methods.cells import Cell, WatchedAttempt, trained
from tests.training.methods.loading import LoadByCard
from workers.methods import find_method
from workers.methods.options import OptionsError
from workers.methods.resolving import resolve
from workers.methods.shape import Linear
from workers.protocol import JobFolder
from workers.training import base_model
from workers.training.methods.peft_native import load, merge

QLORA = find_method("qlora")
RANK = json.dumps({"rank": 4})
GIVEN: dict[str, Any] = {
    "method": "qlora",
    "options": {"rank": 4},
    "max_steps": 4,
    "epochs": 20,
    "learning_rate": 2e-2,
    "eval_every": 2,
}


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toys.encoder_folder(tmp_path_factory.mktemp("wide-encoder"), width=toys.WIDE)


@pytest.fixture(scope="session")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toys.decoder_folder(tmp_path_factory.mktemp("wide-decoder"), width=toys.WIDE)


def test_a_worker_without_bitsandbytes_says_what_is_missing(
    complete_text: MakeJob, train: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base_model, "find_spec", lambda name: None)
    run = train(complete_text(**GIVEN))
    assert getattr(run.error, "reason", "") == "bad_config"
    assert "bitsandbytes is not installed there" in str(run.error)


@pytest.mark.parametrize("task", ["complete_text", "classify"])
def test_counts_freezes_and_merges_into_the_base_in_full_precision(
    task: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    job: JobFolder = request.getfixturevalue(task)(**GIVEN)
    train = Trainer(tmp_path, WatchedAttempt)
    run = train(job)
    assert run.error is None, repr(run.error)
    attempt = train.attempt
    assert isinstance(attempt, WatchedAttempt)
    shape = toys.shape_of(job.base_model.resolve())
    kind = attempt.loop.spec.task
    given = shape, QLORA.options.from_json(GIVEN["options"]), kind, 2
    plan = run.of("plan")[0]
    assert plan["trainable_parameters"] == QLORA.trainable_parameters(*given)
    assert plan["total_parameters"] == QLORA.total_parameters(*given)
    model = attempt.loop.moving.model.eval()
    assert sum(each.dtype == torch.uint8 for each in model.parameters()) >= 10
    for name, each in model.named_parameters():
        assert torch.equal(each, attempt.before[name]) != each.requires_grad, name
    inputs = {"input_ids": torch.tensor([[4, 5, 6, 7]]), "attention_mask": torch.ones(1, 4, dtype=torch.long)}
    with torch.no_grad():
        quantised = model(**inputs).logits
        plain = toys.network(job.base_model.resolve(), kind, attempt.loop.spec.dataset.labels)
        merged = merge(load(plain, job.artifact))
        full = merged.eval()(**inputs).logits
    assert all(each.dtype == torch.float32 for each in merged.parameters())
    assert not torch.equal(full, quantised)
    plain = toys.network(job.base_model.resolve(), kind, attempt.loop.spec.dataset.labels)
    with torch.no_grad():
        wanted = PeftModel.from_pretrained(plain, job.artifact).eval()(**inputs).logits
    torch.testing.assert_close(full, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_the_card_as_it_is_written_gives_the_trained_model(
    architecture: str, base_models: dict[str, Path], load_by_card: LoadByCard, tmp_path: Path
) -> None:
    cell = trained(tmp_path, base_models[f"wide {architecture}"], Cell(architecture, "causal-lm", "qlora", RANK))
    assert "quantization_config=four_bits" in cell.snippet()
    assert torch.equal(load_by_card(cell, tmp_path), cell.logits())
    assert any(each.dtype == torch.uint8 for each in cell.model.parameters())


def test_transposed_linears_train_in_4_bits_and_merge_into_the_whole_base(
    base_models: dict[str, Path], tmp_path: Path
) -> None:
    cell = trained(tmp_path, base_models["wide gpt2"], Cell("gpt2", "causal-lm", "qlora", RANK))
    assert json.loads((cell.job.artifact / "adapter_config.json").read_text())["fan_in_fan_out"]
    base = toys.network(base_models["wide gpt2"], "causal-lm", ())
    merged = cell.logits(cell.merged())
    torch.testing.assert_close(merged, cell.logits(cell.on_whole_base()), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(merged, cell.logits(base), atol=1e-2)


@pytest.mark.parametrize("width", [64, 128, 192, 384, 576, 768])
def test_rows_of_whole_blocks_are_read_back_rightly(width: int) -> None:
    shape = replace(fused(), linears=(Linear("h.0.mlp.c_fc", "up", 0, width, 64, bias=True),))
    assert not QLORA.refusal(shape, "causal-lm")
    weights = torch.randn(64, width, generator=torch.Generator().manual_seed(1))
    packed, state = quantize_4bit(weights, compress_statistics=True, quant_type="nf4")
    assert (dequantize_4bit(packed, state) - weights).norm() < 0.12 * weights.norm()


@pytest.mark.parametrize("width", [32, 96, 312, 480])
def test_rows_that_do_not_fill_their_blocks_are_refused(width: int) -> None:
    """Rows of 96 or 480 come back from a CPU with AVX-512 with an error of a quarter instead of a tenth."""
    shape = replace(fused(), linears=(Linear("h.0.mlp.c_fc", "up", 0, width, 64, bias=True),))
    with pytest.raises(OptionsError) as refused:
        resolve(QLORA, {}, {}, shape, "causal-lm", 10, 2)
    assert refused.value.field == "method"
    assert f"`h.0.mlp.c_fc` are {width} wide" in refused.value.message
    assert "another method" in refused.value.hint


@pytest.mark.parametrize(("method", "quantize"), [("qlora", "none"), ("qlora", "int8"), ("lora", "nf4")])
def test_only_qlora_and_only_nf4(decoder: Path, tmp_path: Path, method: str, quantize: str) -> None:
    with pytest.raises(OptionsError) as refused:
        toys.job(tmp_path / "job", decoder, toys.sums(20), method, {"rank": 4}, quantize=quantize)
    assert refused.value.field == "quantize"
