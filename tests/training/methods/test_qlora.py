"""QLoRA on a CPU: a 4-bit base that stays as it is, a delta that fits the full one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel

from tests.training import toys
from tests.training.conftest import MakeJob, Trainer
from tests.training.methods.cells import WatchedAttempt
from workers.methods import find_method
from workers.methods.options import OptionsError
from workers.protocol import JobFolder
from workers.training import base_model
from workers.training.methods.peft_native import load, merge

QLORA = find_method("qlora")
GIVEN: dict[str, Any] = {
    "method": "qlora",
    "options": {"rank": 4},
    "max_steps": 4,
    "epochs": 20,
    "learning_rate": 2e-2,
    "eval_every": 2,
}


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


@pytest.mark.parametrize(("method", "quantize"), [("qlora", "none"), ("qlora", "int8"), ("lora", "nf4")])
def test_only_qlora_and_only_nf4(decoder: Path, tmp_path: Path, method: str, quantize: str) -> None:
    with pytest.raises(OptionsError) as refused:
        toys.job(tmp_path / "job", decoder, toys.sums(20), method, {"rank": 4}, quantize=quantize)
    assert refused.value.field == "quantize"
