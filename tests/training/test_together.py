"""Two processes train what one would: same losses, same stops, same resume; and one dies for all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.training import forks, toys
from tests.training.conftest import MakeJob, Run, StopAt, Trainer
from tests.training.test_checkpoints import assert_same, final_weights, numbers
from workers.protocol import EXIT_FAILED, EXIT_STOPPED, JobFolder
from workers.training.batching import training_order


def on_gpus(job: JobFolder, gpus: int = 2) -> JobFolder:
    spec = json.loads(job.spec.read_text())
    job.spec.write_text(json.dumps({**spec, "gpus": gpus}))
    return job


def together(job: JobFolder, stops: Sequence[Any] = ()) -> Run:
    codes, run = forks.train_together(on_gpus(job), stops=stops)
    assert len(set(codes)) == 1, (codes, run.log)
    run.code = codes[0]
    return run


@pytest.mark.parametrize("method", ["lora", "full"])
def test_two_processes_have_the_losses_of_one(method: str, complete_text: MakeJob, train: Trainer) -> None:
    given = {"method": method, "epochs": 5, "batch_size": 5, "eval_every": 4, "gradient_accumulation": 2}
    one, two = complete_text("one", **given), complete_text("two", **given)
    alone, both = train(one), together(two)
    assert both.code == 0
    for name, values in numbers(alone).items():
        assert both.series(name) == pytest.approx(values, rel=1e-4), name
    assert both.result["best_metric"]["step"] == alone.result["best_metric"]["step"]
    assert both.of("plan")[0]["processes"] == 2
    for key, weight in final_weights(one, method).items():
        assert final_weights(two, method)[key].numpy() == pytest.approx(weight.numpy(), rel=1e-2, abs=2e-4)


def test_a_batch_with_fewer_rows_than_processes_counts_as_in_one(
    tmp_path: Path, encoder_without_chance: Path, train: Trainer
) -> None:
    rows = toys.opinions(28)
    given: dict[str, Any] = {"max_steps": 12, "batch_size": 4, "epochs": 5}
    jobs = [toys.job(tmp_path / name, encoder_without_chance, rows, **given) for name in ("one", "two")]
    train_rows = sum(row["split"] == "train" for row in rows)
    assert min(map(len, training_order([1] * train_rows, 4, 17, 0))) == 1
    alone, both = train(jobs[0]), together(jobs[1])
    assert both.series("loss") == pytest.approx(alone.series("loss"), rel=1e-4)
    assert both.series("tokens_seen") == alone.series("tokens_seen")


@pytest.mark.parametrize("method", ["lora", "full"])
def test_interrupted_and_resumed_together_equals_undisturbed_bit_for_bit(method: str, classify: MakeJob) -> None:
    options = {"dropout": 0.1} if method == "lora" else {}
    given = {"method": method, "options": options, "epochs": 5, "eval_every": 4, "save_every": 5, "batch_size": 9}
    undisturbed, interrupted = classify("undisturbed", **given), classify("interrupted", **given)
    whole = together(undisturbed)
    # Asked in one process alone: both stop at the same step, whoever hears of it.
    first = together(interrupted, [None, StopAt(8)])
    assert (first.code, whole.code) == (EXIT_STOPPED, 0)
    stopped_at = max(first.series("loss"))
    assert [event["step"] for event in first.of("checkpoint")][-1] == stopped_at < 12
    second = together(interrupted)
    assert second.of("plan")[0]["resumed_step"] == stopped_at
    assert numbers(first, second) == numbers(whole)
    assert_same(final_weights(interrupted, method), final_weights(undisturbed, method))


def test_a_checkpoint_of_one_process_goes_on_in_two_with_a_warning(classify: MakeJob, train: Trainer) -> None:
    job = classify(epochs=5, save_every=5)
    train(job, StopAt(7))
    run = together(job)
    assert run.of("plan")[0]["resumed_step"] > 0
    assert "2 processes instead of 1" in run.log
    assert max(run.series("loss")) == 12


def test_early_stopping_ends_all_at_the_same_step(classify: MakeJob) -> None:
    run = together(classify(max_steps=30, epochs=20, learning_rate=1e-8, eval_every=1, early_stopping_patience=2))
    assert run.code == 0
    assert max(run.series("loss")) < 30
    assert "Stopped early" in run.log


def test_a_failure_that_all_share_is_one(classify: MakeJob) -> None:
    job = classify(epochs=5)
    spec = json.loads(job.spec.read_text())
    spec["training"]["batch_size"] = 0
    job.spec.write_text(json.dumps(spec))
    run = together(job)
    assert run.code == EXIT_FAILED
    assert run.of("failed") == []  # the starter says it, once
