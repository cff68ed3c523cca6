"""Whatever interrupts a training, and however often, its numbers and weights are those of an undisturbed one."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from tests.training import forks, toys
from tests.training.conftest import MakeJob, Run, StopAt, Trainer
from tests.training.test_checkpoints import assert_same, final_weights, numbers
from workers.protocol import JobFolder
from workers.training.failures import Stopped
from workers.training.loop import Loop

METHODS = pytest.mark.parametrize("method", ["lora", "full"])


def dropping(method: str, **given: Any) -> dict[str, Any]:
    """Settings with everything that moves: dropout, accumulation, several epochs, evaluations."""
    options = {"dropout": 0.1} if method == "lora" else {}
    return {"method": method, "options": options, "epochs": 5, "learning_rate": 5e-3, "batch_size": 8, **given}


def killed_after_step(step: int) -> Any:
    """In a child: SIGKILL in the midst of the step after this one."""

    def before() -> None:
        whole = Loop._count

        def count(self: Loop, *given: Any) -> None:
            if self.moving.progress.step == step:
                os.kill(os.getpid(), signal.SIGKILL)
            whole(self, *given)

        mock.patch.object(Loop, "_count", count).start()

    return before


def assert_equal(job: JobFolder, runs: list[Run], whole_job: JobFolder, whole: Run, method: str) -> None:
    assert numbers(*runs) == numbers(whole)
    assert runs[-1].result["final_metrics"] == whole.result["final_metrics"]
    assert runs[-1].result["best_metric"] == whole.result["best_metric"]
    assert_same(final_weights(job, method), final_weights(whole_job, method))


@METHODS
@pytest.mark.parametrize("accumulation", [1, 3])
def test_killed_in_the_midst_of_an_epoch(method: str, accumulation: int, classify: MakeJob, train: Trainer) -> None:
    given = dropping(method, save_every=2, eval_every=5, gradient_accumulation=accumulation)
    whole_job, job = classify("whole", **given), classify("killed", **given)
    whole = train(whole_job)
    code, first = forks.train(job, killed_after_step(7))
    assert code == -signal.SIGKILL
    second = train(job)
    assert second.of("plan")[0]["resumed_step"] == 6
    assert_equal(job, [first, second], whole_job, whole, method)


@METHODS
def test_killed_and_stopped_and_killed_again(method: str, classify: MakeJob, train: Trainer) -> None:
    given = dropping(method, save_every=3, eval_every=4)
    whole_job, job = classify("whole", **given), classify("often", **given)
    whole = train(whole_job)
    _, first = forks.train(job, killed_after_step(4))
    second = train(job, StopAt(7))
    assert isinstance(second.error, Stopped)
    _, third = forks.train(job, killed_after_step(10))
    last = train(job)
    resumed = [run.of("plan")[0]["resumed_step"] for run in (first, second, third, last)]
    assert resumed == sorted(set(resumed))
    assert_equal(job, [first, second, third, last], whole_job, whole, method)


@METHODS
def test_stopped_in_an_evaluation_that_is_made_up_for(method: str, classify: MakeJob, train: Trainer) -> None:
    given = dropping(method, save_every=100, eval_every=4, max_steps=10)
    whole_job, job = classify("whole", **given), classify("stopped", **given)
    whole = train(whole_job)
    asked = next(asked for asked in range(5, 60) if stopped_before_evaluating(train(job, StopAt(asked)), job))
    assert asked
    second = train(job)
    assert second.of("plan")[0]["resumed_step"] == 4
    assert sorted(second.series("eval_loss")) == [4, 8, 10]
    first = train.runs[-2]
    assert_equal(job, [first, second], whole_job, whole, method)


def stopped_before_evaluating(run: Run, job: JobFolder) -> bool:
    """At step 4, with its evaluation still to come; else begin again."""
    if isinstance(run.error, Stopped) and max(run.series("loss"), default=0) == 4 and 4 not in run.series("eval_loss"):
        return True
    for folder in job.checkpoints.iterdir():
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    return False


@METHODS
def test_stopped_right_after_an_evaluation(method: str, complete_text: MakeJob, train: Trainer) -> None:
    given = dropping(method, save_every=4, eval_every=4)
    whole_job, job = complete_text("whole", **given), complete_text("stopped", **given)
    whole = train(whole_job)
    code, first = forks.train(job, killed_after_step(4))
    assert code == -signal.SIGKILL
    second = train(job)
    assert second.of("plan")[0]["resumed_step"] == 4
    assert 4 not in second.series("eval_loss")  # measured already
    assert_equal(job, [first, second], whole_job, whole, method)


def test_rows_of_many_lengths_come_in_the_same_buckets(tmp_path: Path, encoder: Path, train: Trainer) -> None:
    rows = [{**row, "text": " ".join([row["text"]] * (1 + number % 5))} for number, row in enumerate(toys.opinions(90))]
    given = dropping("lora", save_every=4, max_steps=20)
    whole_job, job = (toys.job(tmp_path / name, encoder, rows, **given) for name in ("whole", "killed"))
    whole = train(whole_job)
    _, first = forks.train(job, killed_after_step(14))
    second = train(job)
    assert second.of("plan")[0]["resumed_step"] == 12
    assert_equal(job, [first, second], whole_job, whole, "lora")


# ---- early stopping ------------------------------------------------------------------------------

WORSENING = {"max_steps": 60, "epochs": 30, "learning_rate": 0.05, "eval_every": 2, "save_every": 3}
PATIENT: dict[str, Any] = {**WORSENING, "scheduler": "constant", "warmup": 0, "early_stopping_patience": 4}


def test_early_stopping_exports_the_best_and_says_which_step_it_is(classify: MakeJob, train: Trainer) -> None:
    job = classify(**PATIENT)
    run = train(job)
    result, steps = run.result, run.series("loss")
    best = result["best_metric"]
    assert max(steps) == best["step"] + 4 * 2 < 60
    assert result["final_metrics"]["eval_accuracy"] == best["value"] == run.series("eval_accuracy")[best["step"]]
    notes = " ".join(result["notes"])
    assert f"The delta is that of step {best['step']}" in notes
    assert f"Training stopped early, at step {max(steps)}" in notes
    # Trained only so far, the same job ends with the same weights.
    shorter = classify("shorter", **{**PATIENT, "max_steps": best["step"]})
    train(shorter)
    assert_same(final_weights(job, "lora"), final_weights(shorter, "lora"))


def test_a_resume_does_not_forget_how_patient_it_was(classify: MakeJob, train: Trainer) -> None:
    whole_job, job = classify("whole", **PATIENT), classify("killed", **PATIENT)
    whole = train(whole_job)
    best = whole.result["best_metric"]["step"]
    # Between the first and the last of the worse evaluations.
    code, first = forks.train(job, killed_after_step(best + 5))
    assert code == -signal.SIGKILL
    second = train(job)
    assert max(second.series("loss")) == max(whole.series("loss"))
    assert second.result["notes"] == whole.result["notes"]
    assert_equal(job, [first, second], whole_job, whole, "lora")


def test_a_training_that_had_stopped_early_only_hands_over_when_it_is_resumed(
    classify: MakeJob, train: Trainer
) -> None:
    job = classify(**PATIENT)
    whole = train(job)
    weights = final_weights(job, "lora")
    again = train(job)
    assert again.series("loss") == {}
    assert again.result["best_metric"] == whole.result["best_metric"]
    assert again.result["notes"] == whole.result["notes"]
    assert_same(final_weights(job, "lora"), weights)


def test_a_retry_from_the_last_step_trains_nothing_and_leaves_the_artifact(classify: MakeJob, train: Trainer) -> None:
    job = classify(epochs=5, eval_every=4, save_every=5)
    whole = train(job)
    weights = final_weights(job, "lora")
    again = train(job)
    assert again.of("plan")[0]["resumed_step"] == 12
    assert again.series("loss") == {}
    assert again.of("checkpoint") == []
    assert again.result["final_metrics"] == whole.result["final_metrics"]
    assert_same(final_weights(job, "lora"), weights)
