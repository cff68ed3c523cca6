"""An interrupted training goes on bit for bit, and only from checkpoints that are whole and its own."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from tests.training.conftest import MakeJob, Run, StopAfter, StopAt, Trainer
from workers.protocol import JobFolder
from workers.training import storage
from workers.training.completing import complete
from workers.training.failures import JobFailure, Stopped

WEIGHTS = {"lora": "adapter_model.safetensors", "full": "model.safetensors"}


def final_weights(job: JobFolder, method: str) -> dict[str, torch.Tensor]:
    return load_file(job.artifact / WEIGHTS[method])


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert set(one) == set(other)
    assert all(torch.equal(one[name], other[name]) for name in one)


def numbers(*runs: Run) -> dict[str, dict[int, float]]:
    """What the runs measured together; a later run's points win."""
    return {name: {step: value for run in runs for step, value in run.series(name).items()} for name in SERIES}


SERIES = ("loss", "grad_norm", "learning_rate", "tokens_seen", "eval_loss")


@pytest.mark.parametrize("task", ["classify", "complete_text"])
@pytest.mark.parametrize("method", ["lora", "full"])
def test_interrupted_and_resumed_equals_undisturbed(
    task: str, method: str, request: pytest.FixtureRequest, train: Trainer
) -> None:
    make: MakeJob = request.getfixturevalue(task)
    given = {
        "method": method,
        "options": {"dropout": 0.1} if method == "lora" else {},
        "epochs": 5,
        "eval_every": 4,
        "save_every": 5,
        "learning_rate": 5e-3,
        "gradient_accumulation": 2,
    }
    undisturbed, interrupted = make("undisturbed", **given), make("interrupted", **given)
    whole = train(undisturbed)
    first = train(interrupted, StopAfter(train, 7))
    assert isinstance(first.error, Stopped)
    second = train(interrupted)
    resumed = second.of("plan")[0]["resumed_step"]
    assert 0 < resumed < 12
    assert max(first.series("loss")) == resumed
    assert numbers(first, second) == numbers(whole)
    taken = {name: second.result[name] for name in ("seq", "time", "forward_pass")}
    assert second.result == {**whole.result, **taken}
    assert_same(final_weights(interrupted, method), final_weights(undisturbed, method))


def test_a_resume_on_another_machine_still_knows_the_best_weights(classify: MakeJob, train: Trainer) -> None:
    given = {"max_steps": 30, "epochs": 20, "learning_rate": 0.05, "eval_every": 2, "save_every": 3}
    whole_job, moved_job = classify("whole", **given), classify("moved", **given)
    train(whole_job)
    train(moved_job, StopAt(80))
    newest = sorted(moved_job.checkpoints.iterdir())[-1]
    for other in (moved_job.scratch, *(each for each in moved_job.checkpoints.iterdir() if each != newest)):
        shutil.rmtree(other)
    assert train(moved_job).of("plan")[0]["resumed_step"] > 10
    assert_same(final_weights(moved_job, "lora"), final_weights(whole_job, "lora"))


@pytest.mark.fault(49)
@pytest.mark.parametrize("damage", ["cut", "flipped", "no manifest"])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(damage: str, classify: MakeJob, train: Trainer) -> None:
    job = classify(max_steps=12, epochs=5, save_every=4)
    train(job)
    older, newest = sorted(job.checkpoints.iterdir())
    hurt(newest, damage)
    run = train(job)
    assert run.of("plan")[0]["resumed_step"] == int(older.name.removeprefix("step-"))
    assert f"{newest.name} is torn" in run.log


@pytest.mark.fault(49)
@pytest.mark.parametrize("damage", ["cut", "flipped", "no manifest"])
def test_without_an_older_one_a_damaged_checkpoint_ends_the_attempt_and_says_its_step(
    damage: str, classify: MakeJob, train: Trainer
) -> None:
    job = classify(max_steps=5, epochs=5, save_every=5)
    train(job)
    (only,) = job.checkpoints.iterdir()
    hurt(only, damage)
    error = train(job).error
    assert isinstance(error, JobFailure)
    assert (error.reason, error.detail["step"]) == ("checkpoint_unreadable", 5)
    assert only.exists()


def test_a_whole_checkpoint_whose_content_does_not_fit_ends_the_attempt(classify: MakeJob, train: Trainer) -> None:
    job = classify(max_steps=5, epochs=5, save_every=5)
    train(job)
    (only,) = job.checkpoints.iterdir()
    (only / "progress.json").write_text('{"best": null, "unknown": 1}')
    complete(only, only.with_name("again"), json.loads((only / "manifest.json").read_text()))
    (only.parent / "again").rename(only)
    error = train(job).error
    assert isinstance(error, JobFailure)
    assert error.reason == "checkpoint_unreadable"


def hurt(checkpoint: Path, damage: str) -> None:
    file = checkpoint / ("manifest.json" if damage == "no manifest" else "training.pt")
    content = bytearray(file.read_bytes())
    if damage == "no manifest":
        file.unlink()
    elif damage == "cut":
        file.write_bytes(content[:-10])
    else:
        content[100] ^= 1
        file.write_bytes(content)


def test_a_half_written_checkpoint_is_removed(classify: MakeJob, train: Trainer) -> None:
    job = classify()
    half = job.checkpoints / ".step-00000004.partial"
    half.mkdir(parents=True)
    (half / "trainable.safetensors").write_bytes(b"half")
    assert train(job).of("plan")[0]["resumed_step"] == 0
    assert not half.exists()


def test_a_checkpoint_of_another_job_is_not_resumed(classify: MakeJob, train: Trainer) -> None:
    job = classify(save_every=4)
    train(job)
    spec = json.loads(job.spec.read_text())
    spec["training"]["learning_rate"] = 3e-3
    job.spec.write_text(json.dumps(spec))
    run = train(job)
    assert run.of("plan")[0]["resumed_step"] == 0
    assert "belongs to another job" in run.log


def test_the_newest_two_are_kept_and_each_is_said(classify: MakeJob, train: Trainer) -> None:
    job = classify(max_steps=12, epochs=5, save_every=3)
    run = train(job)
    assert [event["step"] for event in run.of("checkpoint")] == [3, 6, 9, 12]
    assert sorted(path.name for path in job.checkpoints.iterdir()) == ["step-00000009", "step-00000012"]


def test_a_training_that_ends_between_two_checkpoints_saves_once_more(classify: MakeJob, train: Trainer) -> None:
    run = train(classify(max_steps=5, epochs=5, save_every=3))
    assert [event["step"] for event in run.of("checkpoint")] == [3, 5]


@pytest.mark.parametrize("fault", [RuntimeError("PytorchStreamWriter failed"), SafetensorError("Os { code: 28 }")])
def test_a_write_that_failed_inside_a_library_is_a_full_disk(fault: Exception) -> None:
    with pytest.raises(OSError, match="No space left") as caught, storage.writing():
        raise fault
    assert caught.value.errno == errno.ENOSPC
