"""Merging on request: from artifact and base model to a whole model that needs no delta library."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification

from tests.training import toys
from tests.training.conftest import MakeJob, Trainer
from tests.training.test_cards import CLASSIFY, score_by_card
from workers.methods import METHODS
from workers.protocol import InspectionFolder, JobFolder
from workers.training.completing import verified
from workers.training.inspection import answer
from workers.training.methods import EQUIPMENT

pytestmark = pytest.mark.slow


@pytest.fixture
def trained(classify: MakeJob, train: Trainer) -> JobFolder:
    job = classify(method="lora", options={"rank": 4}, learning_rate=2e-2)
    assert train(job).error is None
    return job


def asked_for(job: JobFolder, path: Path) -> InspectionFolder:
    """The folder that a worker lays out."""
    folder = InspectionFolder(path)
    folder.output.mkdir(parents=True)
    folder.question.write_text(json.dumps({"kind": "merged_model"}))
    shutil.copytree(job.base_model.resolve(), folder.inputs / "base_model")
    shutil.copytree(job.artifact, folder.inputs / "artifact")
    return folder


def test_the_merged_model_answers_as_base_and_delta_do(trained: JobFolder, tmp_path: Path) -> None:
    folder = asked_for(trained, tmp_path / "merge")
    manifest = answer(folder)["manifest"]
    assert verified(folder.output) == manifest
    assert manifest["spec"]["method"] == "lora"
    assert manifest["parity"]["dtype"] == "float32"
    assert manifest["parity"]["max_logit_difference"] < 1e-4
    assert manifest["parity"]["same_choice_share"] == 1.0
    merged = AutoModelForSequenceClassification.from_pretrained(folder.output).eval()
    assert not any("lora" in name for name in merged.state_dict())
    plain = toys.network(trained.base_model.resolve(), "text-classification", ("bad", "good"))
    with_delta = PeftModel.from_pretrained(plain, trained.artifact).eval()
    rows = {"input_ids": torch.tensor([[4, 5, 6, 7]])}
    with torch.no_grad():
        torch.testing.assert_close(merged(**rows).logits, with_delta(**rows).logits, rtol=1e-4, atol=1e-4)


def test_its_card_loads_it_without_peft_and_scores_the_same(trained: JobFolder, tmp_path: Path) -> None:
    folder = asked_for(trained, tmp_path / "merge")
    answer(folder)
    card = (folder.output / "README.md").read_text()
    assert "library_name: transformers" in card
    assert "peft" not in re.findall(r"```python\n(.*?)```", card, re.DOTALL)[0]
    assert "## How it was trained" in card
    score = score_by_card(trained, CLASSIFY, tmp_path, folder.output)
    assert score == score_by_card(trained, CLASSIFY, tmp_path)


def test_it_is_stored_in_the_base_models_own_number_format(
    complete_text: MakeJob, train: Trainer, decoder: Path, tmp_path: Path
) -> None:
    half = tmp_path / "half"
    shutil.copytree(decoder, half)
    AutoModelForCausalLM.from_pretrained(decoder, dtype=torch.bfloat16).save_pretrained(half)
    job = toys.job(tmp_path / "job", half, toys.sums(48), "dora", {"rank": 4}, max_steps=4)
    assert train(job).error is None
    folder = asked_for(job, tmp_path / "merge")
    manifest = answer(folder)["manifest"]
    assert manifest["parity"]["dtype"] == "bfloat16"
    assert 0 < manifest["parity"]["max_logit_difference"] < 0.1
    assert AutoConfig.from_pretrained(folder.output).dtype == torch.bfloat16


OPTIONS: dict[str, dict[str, Any]] = {
    "lora": {"rank": 4},
    "dora": {"rank": 4},
    "qlora": {"rank": 4},
    "adalora": {"initial_rank": 6, "target_rank": 3},
    "vera": {"rank": 16},
    "oft": {"block_size": 8},
    "loha": {"rank": 4},
    "lokr": {"rank": 2},
    "intrinsic_dimension": {"dimension": 50},
}
MERGEABLE = sorted(name for name, method in METHODS.items() if method.mergeable)
TOLERANCES = {torch.float32: 1e-5, torch.bfloat16: 2**-7}
"""Of the largest logit: sums in another order; weights of 8 bits."""


@pytest.mark.parametrize("dtype", TOLERANCES, ids=["fp32", "bf16"])
@pytest.mark.parametrize("method", MERGEABLE)
def test_stored_it_answers_as_base_and_delta_do_within_its_number_format(
    method: str, dtype: torch.dtype, encoder: Path, train: Trainer, tmp_path: Path
) -> None:
    base_model = tmp_path / "base"
    shutil.copytree(encoder, base_model)
    if METHODS[method].quantize != "none":  # packed in blocks that a narrow toy does not fill
        toys.encoder_folder(base_model, width=toys.WIDE)
    AutoModel.from_pretrained(base_model, dtype=dtype).save_pretrained(base_model)
    given = {"max_steps": 4, "learning_rate": 2e-2, "eval_every": 4}
    job = toys.job(tmp_path / "job", base_model, toys.opinions(32), method, OPTIONS.get(method, {}), **given)
    assert train(job).error is None
    folder = asked_for(job, tmp_path / "merge")
    assert answer(folder)["manifest"]["parity"]["dtype"] == str(dtype).removeprefix("torch.")
    assert not (folder.output / "load_delta.py").exists()
    stored = AutoModelForSequenceClassification.from_pretrained(folder.output, dtype=torch.float32).eval()
    plain = toys.network(base_model, "text-classification", ("no", "yes"))
    base = {name: each.clone() for name, each in plain.base_model.named_parameters()}
    moved = [name for name, each in stored.base_model.named_parameters() if not each.equal(base[name])]
    assert bool(moved) == (method != "head"), moved
    load = EQUIPMENT[method].load
    assert load is not None
    rows = {"input_ids": torch.tensor([[4, 5, 6, 7], [20, 9, 11, 5], [8, 23, 17, 12]])}
    with torch.no_grad():
        wanted = load(plain, job.artifact).eval()(**rows).logits
        difference = float((stored(**rows).logits - wanted).abs().max())
    assert difference <= TOLERANCES[dtype] * float(wanted.abs().max())


def test_what_cannot_be_merged_says_why(classify: MakeJob, train: Trainer, tmp_path: Path) -> None:
    job = classify(method="houlsby", options={"bottleneck": 4}, max_steps=2)
    assert train(job).error is None
    problem = answer(asked_for(job, tmp_path / "merge"))["problem"]
    assert problem["code"] == "merge.cannot"
    assert problem["message"].endswith(".")


def test_a_damaged_delta_is_not_merged(trained: JobFolder, tmp_path: Path) -> None:
    folder = asked_for(trained, tmp_path / "merge")
    weights = folder.inputs / "artifact" / "adapter_model.safetensors"
    spoiled = bytearray(weights.read_bytes())
    spoiled[-1] ^= 1
    weights.write_bytes(spoiled)
    assert answer(folder)["problem"]["code"] == "merge.artifact"
    assert not folder.output.exists()


def test_a_merge_that_answers_otherwise_is_refused(
    trained: JobFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    merge = EQUIPMENT["lora"].merge

    def spoiled(model: object) -> object:
        network = merge(model)
        with torch.no_grad():
            next(network.parameters()).normal_()
        return network

    monkeypatch.setitem(EQUIPMENT, "lora", replace(EQUIPMENT["lora"], merge=spoiled))
    assert answer(asked_for(trained, tmp_path / "merge"))["problem"]["code"] == "merge.not_alike"
