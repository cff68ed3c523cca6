"""Trainings on toys learn, count what they say they count, leave the base alone, and say how they ended."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig

from tests.training import toys
from tests.training.conftest import MakeJob, Trainer
from workers.methods import METHODS
from workers.protocol import JobSpec
from workers.training.completing import verified
from workers.training.methods import EQUIPMENT
from workers.training.shape import read_shape
from workers.training.spent import PARTS


def folder_sha256(folder: Path) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(folder.iterdir()))).hexdigest()


def test_every_method_has_both_halves() -> None:
    assert set(EQUIPMENT) == set(METHODS)


def test_lora_learns_to_tell_good_from_bad(classify: MakeJob, train: Trainer, encoder: Path) -> None:
    before = folder_sha256(encoder)
    run = train(classify(max_steps=60, epochs=20, learning_rate=4e-3, eval_every=15))
    assert run.error is None
    assert run.result["final_metrics"]["eval_accuracy"] > 0.85
    assert run.result["best_metric"]["name"] == "eval_accuracy"
    assert list(run.series("loss")) == list(range(1, 61))
    assert sorted(run.series("eval_accuracy")) == [0, 15, 30, 45, 60]
    assert folder_sha256(encoder) == before


def test_full_fine_tuning_learns_too(classify: MakeJob, train: Trainer) -> None:
    run = train(classify(method="full", max_steps=60, epochs=20, learning_rate=1e-2))
    assert run.result["final_metrics"]["eval_accuracy"] > 0.85


def test_a_decoder_learns_to_complete(complete_text: MakeJob, train: Trainer) -> None:
    run = train(complete_text(max_steps=40, epochs=40, learning_rate=2e-2, gradient_accumulation=2))
    assert run.error is None
    losses = run.series("loss")
    assert losses[40] < losses[1] * 0.7
    final = run.result["final_metrics"]
    assert final["eval_loss"] < run.series("eval_loss")[0]
    assert final["eval_perplexity"] == pytest.approx(math.exp(final["eval_loss"]))


def test_every_step_reports_speed_and_memory(classify: MakeJob, train: Trainer) -> None:
    run = train(classify(max_steps=2))
    values = run.of("metrics")[-2]["values"]
    for name in ("learning_rate", "grad_norm", "tokens_per_second", "samples_per_second", "data_wait_share"):
        assert name in values
    spent = {name: seconds for name, seconds in values.items() if name.startswith("spent_")}
    assert set(spent) == {f"spent_{part}_seconds" for part in PARTS}
    within = sum(spent[f"spent_{part}_seconds"] for part in ("data", "forward_backward", "optimizer"))
    assert 0.5 * values["step_seconds"] < within <= values["step_seconds"]
    assert run.series("spent_evaluation_seconds")[1] > 0  # of the evaluation before training
    assert 50e6 < values["device_memory_bytes"] <= values["device_memory_peak_bytes"]
    plan = run.of("plan")[0]
    assert (plan["device"], plan["memory_kind"], plan["threads"]) == ("cpu", "process memory", 1)


@pytest.mark.parametrize("task", ["classify", "complete_text"])
@pytest.mark.parametrize(
    ("method", "options"),
    [("lora", {"rank": 4}), ("lora", {"rank": 3, "targets": ["q", "v", "down"], "use_rslora": True}), ("full", {})],
)
def test_the_plan_counts_what_the_formula_counts(
    task: str, method: str, options: dict[str, Any], request: pytest.FixtureRequest, train: Trainer
) -> None:
    job = request.getfixturevalue(task)(method=method, options=options, max_steps=1)
    plan = train(job).of("plan")[0]
    shape, _ = read_shape(AutoConfig.from_pretrained(job.base_model))
    spec = JobSpec.from_json(json.loads(job.spec.read_text()))
    chosen = METHODS[method].options.from_json(options)
    assert plan["trainable_parameters"] == METHODS[method].trainable_parameters(shape, chosen, spec.task, 2)


def test_a_decoder_classifies_too(tmp_path: Path, decoder: Path, train: Trainer) -> None:
    job = toys.job(tmp_path / "job", decoder, toys.opinions(40), max_steps=2)
    run = train(job)
    assert run.error is None
    shape, _ = read_shape(AutoConfig.from_pretrained(decoder))
    lora = METHODS["lora"]
    counted = lora.trainable_parameters(shape, lora.options(), "text-classification", 2)
    assert run.of("plan")[0]["trainable_parameters"] == counted
    config = json.loads((job.artifact / "adapter_config.json").read_text())
    assert set(config["modules_to_save"]) == {"classifier", "score"}


def test_full_fine_tuning_counts_an_output_layer_of_its_own(tmp_path: Path, train: Trainer) -> None:
    base_model = toys.decoder_folder(tmp_path / "untied", tied=False)
    plan = train(toys.job(tmp_path / "job", base_model, toys.sums(20), "full", max_steps=1)).of("plan")[0]
    shape, _ = read_shape(AutoConfig.from_pretrained(base_model))
    full = METHODS["full"]
    assert plan["trainable_parameters"] == full.trainable_parameters(shape, full.options(), "causal-lm", 0)


def test_the_best_weights_are_exported_and_scored_again(classify: MakeJob, train: Trainer) -> None:
    # A rate far too high: the model gets worse after it was good.
    job = classify(max_steps=40, epochs=20, learning_rate=0.05, eval_every=4, scheduler="constant")
    run = train(job)
    best = run.result["best_metric"]
    assert best["value"] == max(value for step, value in run.series("eval_accuracy").items() if step)
    assert run.result["final_metrics"]["eval_accuracy"] == best["value"]
    manifest = verified(job.artifact)
    assert manifest is not None
    assert manifest["step"] == best["step"]


def test_a_job_that_ends_at_the_majority_class_says_so(classify: MakeJob, train: Trainer) -> None:
    run = train(classify(max_steps=1, learning_rate=1e-8))
    assert "majority class" in " ".join(run.result["notes"])


def test_without_eval_rows_the_last_step_is_exported_and_the_note_says_so(
    tmp_path: Path, encoder: Path, train: Trainer
) -> None:
    rows = [{**row, "split": "train"} for row in toys.opinions(40)]
    run = train(toys.job(tmp_path / "job", encoder, rows, max_steps=2))
    assert run.result["final_metrics"] == {}
    assert "no eval rows" in run.result["notes"][0]


def test_early_stopping_ends_a_training_that_no_longer_gets_better(classify: MakeJob, train: Trainer) -> None:
    run = train(classify(max_steps=60, epochs=20, learning_rate=1e-8, eval_every=1, early_stopping_patience=2))
    assert max(run.series("loss")) < 60
    assert "Stopped early" in run.log


def test_a_loss_that_is_no_number_ends_the_job_after_three_steps(classify: MakeJob, train: Trainer) -> None:
    job = classify(max_steps=10, eval_every=100)
    spoiled = toys.spoiled_copy(job.base_model, job.path / "spoiled")
    job.base_model.unlink()
    job.base_model.symlink_to(spoiled, target_is_directory=True)
    run = train(job)
    assert getattr(run.error, "reason", "") == "diverged"
    assert run.of("metrics")[-1]["values"]["loss"] == "NaN"


def test_rows_without_anything_to_learn_are_refused(tmp_path: Path, decoder: Path, train: Trainer) -> None:
    rows = [{"messages": [{"role": "user", "content": "hello"}], "split": "train"} for _ in range(3)]
    run = train(toys.job(tmp_path / "job", decoder, rows))
    assert getattr(run.error, "reason", "") == "no_trainable_tokens"
    assert "0 trainable tokens in 3 rows" in str(run.error)


def test_a_base_model_of_pickles_is_refused(classify: MakeJob, train: Trainer) -> None:
    job = classify()
    pickles = job.path / "pickles"
    toys.spoiled_copy(job.base_model, pickles)
    (pickles / "model.safetensors").rename(pickles / "pytorch_model.bin")
    job.base_model.unlink()
    job.base_model.symlink_to(pickles, target_is_directory=True)
    assert getattr(train(job).error, "reason", "") == "unsafe_file"


def test_bf16_and_gradient_checkpointing_train_as_well(complete_text: MakeJob, train: Trainer) -> None:
    run = train(complete_text(max_steps=3, precision="bf16", gradient_checkpointing=True))
    assert run.error is None
    assert all(math.isfinite(loss) for loss in run.series("loss").values())


def test_adapters_are_kept_in_fp32_and_name_the_base_by_its_public_name(classify: MakeJob, train: Trainer) -> None:
    job = classify(max_steps=1)
    train(job)
    config = json.loads((job.artifact / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "deltaboard/toy"
    assert str(job.path) not in "".join(path.read_text() for path in job.artifact.glob("*.[jm][sd]*"))
