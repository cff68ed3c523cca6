"""Ends that are the user's to mend: each says its reason once, with the numbers that lead to the fix."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.faults.trainer import broken
from tests.training import forks
from tests.training.conftest import MakeJob, Run
from tests.training.test_together import on_gpus
from workers.ending import Exit, how_it_ended
from workers.protocol import EVENT_FD_VARIABLE, EXIT_FAILED
from workers.protocol.reasons import INFRASTRUCTURE_REASONS, USER_REASONS
from workers.training import diagnosis

SETTINGS = {
    "batch_size": 16,
    "micro_batch": 16,
    "processes": 1,
    "gradient_accumulation": 1,
    "gradient_checkpointing": False,
    "learning_rate": 0.01,
    "max_length": 40,
    "rank": 8,
}
GIVEN: dict[str, Any] = {"epochs": 5, "batch_size": 16, "learning_rate": 0.01, "max_length": 40, "options": {"rank": 8}}


def failure_of(run: Run) -> dict[str, Any]:
    (failed,) = run.of("failed")
    return failed


@pytest.mark.fault(30)
def test_a_gpu_out_of_memory_says_what_was_needed_and_what_takes_less(complete_text: MakeJob) -> None:
    code, run = forks.train(complete_text(**GIVEN), lambda: broken.out_of_memory(at_pass=4))
    failed = failure_of(run)
    assert (code, failed["reason"]) == (EXIT_FAILED, "gpu_oom")
    assert failed["detail"].items() >= SETTINGS.items()
    assert failed["detail"]["wanted_bytes"] == int(1.5 * 2**30)
    assert failed["detail"]["step"] == 3
    assert 1 < failed["detail"]["batch_length"] <= 40
    assert 0 < failed["detail"]["trainable_token_share"] < 1
    assert "1.50 GiB more were needed" in failed["sentence"]
    assert f"with {failed['detail']['batch_rows']} rows of up to" in failed["sentence"]
    assert "Halve the batch size and double the accumulation" in failed["sentence"]
    assert how_it_ended(Exit(code, failed=failed)).reason in USER_REASONS  # never retried


def test_advice_names_only_what_is_left_to_do() -> None:
    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
    said = diagnosis.of(error, {"micro_batch": 1, "gradient_checkpointing": True, "rank": 1}).sentence
    assert said.endswith("Shorten the rows.")


def test_a_machine_out_of_memory_is_told_from_an_error_of_ours() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**55)
    failure = diagnosis.of(caught.value, {})
    assert failure.reason == "host_oom"
    assert how_it_ended(Exit(1, failed={"reason": "host_oom"})).reason in INFRASTRUCTURE_REASONS


@pytest.mark.fault(30)
@pytest.mark.slow
def test_out_of_memory_in_the_second_process_is_said_once_for_all(complete_text: MakeJob) -> None:
    job = on_gpus(complete_text(**GIVEN))
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.trainer.broken", str(job.path)],
        cwd=Path(__file__).parents[3],
        env={**os.environ, EVENT_FD_VARIABLE: str(writer)},
        pass_fds=[writer],
    )
    os.close(writer)
    run = Run.from_pipe(reader)
    assert process.wait(60) == EXIT_FAILED
    failed = failure_of(run)
    assert failed["reason"] == "gpu_oom"
    assert failed["detail"].items() >= {**SETTINGS, "micro_batch": 8, "processes": 2}.items()
    assert run.events[-1] == failed


@pytest.mark.fault(32)
def test_a_loss_that_becomes_no_number_ends_the_job_after_three_such_steps(classify: MakeJob) -> None:
    job = classify(**{**GIVEN, "max_length": 20, "save_every": 1})
    code, run = forks.train(job, lambda: broken.no_number(from_pass=5))
    failed = failure_of(run)
    assert (code, failed["reason"]) == (EXIT_FAILED, "diverged")
    losses = run.series("loss")
    assert [step for step, loss in losses.items() if str(loss) == "NaN"] == [5, 6, 7]
    assert max(losses) == 7
    detail = failed["detail"]
    assert (detail["step"], detail["steps_not_finite"], detail["learning_rate"]) == (7, 3, 0.01)
    assert detail["last_finite_loss"] == losses[4]
    assert detail["suggested_learning_rate"] == pytest.approx(0.01 / 3)
    assert "0.0033 instead of 0.01" in failed["sentence"]
    assert_finite(load_file(job.checkpoints / "step-00000006" / "trainable.safetensors"))


@pytest.mark.fault(32)
def test_a_gradient_that_is_no_number_spoils_no_weight_though_the_loss_is_one(classify: MakeJob) -> None:
    job = classify(**{**GIVEN, "max_length": 20, "save_every": 1})
    code, run = forks.train(job, lambda: broken.no_gradient(from_pass=3))
    assert (code, failure_of(run)["reason"]) == (EXIT_FAILED, "diverged")
    assert all(math.isfinite(loss) for loss in run.series("loss").values())
    assert [step for step, norm in run.series("grad_norm").items() if str(norm) == "NaN"] == [3, 4, 5]
    assert_finite(load_file(job.checkpoints / "step-00000004" / "trainable.safetensors"))


def assert_finite(weights: dict[str, torch.Tensor]) -> None:
    assert all(bool(each.isfinite().all()) for each in weights.values())
