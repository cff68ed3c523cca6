"""History for charts: smoothing against a plain reference, buckets that keep extremes, the later attempt wins."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tests.conftest import claim_next
from webapp.jobs import metrics, reporting, transitions
from webapp.jobs.models import Checkpoint, Job, Worker
from webapp.jobs.recording import merge_chunks


def debiased_reference(values: list[float], weight: float) -> list[float]:
    """Weighted mean written out: value i counts w^(n-i), as in TensorBoard and pandas ewm(adjust=True)."""
    out = []
    for n in range(1, len(values) + 1):
        weights = [weight ** (n - 1 - i) for i in range(n)]
        out.append(sum(w * v for w, v in zip(weights, values, strict=False)) / sum(weights))
    return out


@pytest.mark.parametrize("weight", [0.1, 0.6, 0.99])
@pytest.mark.parametrize("count", [1, 127, 128, 129, 500])
def test_smoothing_equals_the_written_out_mean(weight: float, count: int) -> None:
    values = np.random.default_rng(0).normal(size=count)
    ours, state = metrics.smoothed(values, weight)
    assert ours == pytest.approx(debiased_reference(values.tolist(), weight), abs=1e-12)
    assert state[1] == count


def test_smoothing_passes_nan_through_and_goes_on_after_it() -> None:
    ours, _ = metrics.smoothed(np.array([1.0, math.nan, 3.0]), 0.5)
    assert ours[0] == 1.0
    assert math.isnan(ours[1])
    assert ours[2] == pytest.approx(debiased_reference([1.0, 3.0], 0.5)[-1])


def test_live_points_continue_from_the_state() -> None:
    values = np.random.default_rng(2).normal(size=50)
    whole, _ = metrics.smoothed(values, 0.9)
    _, (s, n) = metrics.smoothed(values[:49], 0.9)
    s, n = 0.9 * s + 0.1 * values[49], n + 1
    assert s / (1 - 0.9**n) == pytest.approx(whole[49])


def step(number: int, **values: Any) -> dict[str, Any]:
    return {"kind": "metrics", "step": number, "time": float(number), "epoch": number / 10, "values": values}


@pytest.fixture
def running(job: Job, worker: Worker) -> Any:
    claimed = claim_next(worker)
    assert claimed
    assert claimed.attempt
    reporting.acknowledge(claimed.attempt)
    return claimed.attempt


def test_buckets_keep_the_spike(running: Any) -> None:
    reporting.accept(running, 1, [step(n, loss=100.0 if n == 333 else 1.0) for n in range(1, 1001)])
    answer = metrics.history(running.job, ["loss"], points=50)
    assert len(answer["step"]) == 50
    assert answer["step"][-1] == 1000
    assert max(answer["max"]["loss"]) == 100.0
    assert min(answer["min"]["loss"]) == 1.0


def test_of_amounts_a_bucket_keeps_the_mean(running: Any) -> None:
    """A checkpoint every hundred steps must neither vanish between the buckets nor count for all their steps."""
    reporting.accept(running, 1, [step(n, spent_saving_seconds=5.0 * (n % 100 == 1)) for n in range(1, 1001)])
    answer = metrics.history(running.job, ["spent_saving_seconds"], points=5, smoothing=0.6)
    assert answer["series"]["spent_saving_seconds"] == pytest.approx([0.05] * 5)
    assert answer["smooth"] == answer["series"]


def test_a_stretch_looked_at_closely_gets_the_buckets_and_the_same_smoothing(running: Any) -> None:
    reporting.accept(running, 1, [step(n, loss=100.0 if n == 333 else 1.0) for n in range(1, 1001)])
    whole = metrics.history(running.job, ["loss"], points=1000, smoothing=0.6)
    close = metrics.history(running.job, ["loss"], points=40, smoothing=0.6, within=(320, 345))
    assert set(range(320, 346)) <= set(close["step"])
    assert len(close["step"]) <= 40 + 10 + 1
    assert (close["step"][-1], max(close["max"]["loss"])) == (1000, 100.0)
    smooth = dict(zip(whole["step"], whole["smooth"]["loss"], strict=True))
    assert close["smooth"]["loss"] == [smooth[each] for each in close["step"]]


def test_a_stretch_that_holds_nothing_changes_nothing(running: Any) -> None:
    reporting.accept(running, 1, [step(n, loss=1.0) for n in range(1, 101)])
    usual = metrics.history(running.job, ["loss"], points=10)
    for nowhere in ((200, 300), (50, 40)):
        assert metrics.history(running.job, ["loss"], points=10, within=nowhere) == usual


def test_a_series_with_few_points_is_null_elsewhere(running: Any) -> None:
    reporting.accept(running, 1, [step(1, loss=2.0), step(2, loss=1.5), step(2, eval_loss=1.8)])
    answer = metrics.history(running.job)
    assert answer["step"] == [1, 2]
    assert answer["series"] == {"loss": [2.0, 1.5], "eval_loss": [None, 1.8]}


def test_after_a_resume_the_later_attempt_wins_the_overlap(running: Any, worker: Worker) -> None:
    reporting.accept(running, 1, [step(n, loss=float(n)) for n in range(1, 7)])
    Checkpoint.objects.create(job=running.job, attempt=running, step=4, bytes=1, files=[])
    transitions.end_attempt(running, "reconciler", "released", "worker_lost")
    claimed = claim_next(worker, "claim-2")
    assert claimed
    assert claimed.attempt
    reporting.acknowledge(claimed.attempt)
    reporting.accept(claimed.attempt, 1, [step(n, loss=10.0 * n) for n in range(5, 8)])
    answer = metrics.history(running.job)
    assert answer["series"]["loss"] == [1.0, 2.0, 3.0, 4.0, 50.0, 60.0, 70.0]
    assert [each["number"] for each in answer["attempts"]] == [1, 2]


def test_a_count_of_tokens_that_is_none_is_null(running: Any) -> None:
    """JSON has no infinities: the browser would read nothing of the answer."""
    told = [
        step(1, tokens_seen=10),
        step(2, tokens_seen="Infinity"),
        step(3, tokens_seen="NaN"),
        step(4, tokens_seen=40),
    ]
    reporting.accept(running, 1, told)
    assert metrics.history(running.job)["tokens"] == [10, None, None, 40]


def test_merging_small_chunks_changes_no_answer(running: Any) -> None:
    for n in range(1, 21):
        reporting.accept(running, n, [step(n, loss=1.0 / n)])
    before = metrics.history(running.job)
    merge_chunks(running)
    assert running.chunks.count() == 1
    assert metrics.history(running.job) == before


def test_csv_has_every_point(running: Any) -> None:
    reporting.accept(running, 1, [step(1, loss=0.5), step(2, loss="NaN", eval_loss=0.25)])
    lines = "".join(metrics.as_csv(running.job)).splitlines()
    assert lines[0] == "step,epoch,time,eval_loss,loss"
    assert lines[2].startswith("2,")
    assert len(lines) == 3
