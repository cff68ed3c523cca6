"""A job of 100,000 steps: its history stays small on the wire, and smoothing comes before bucketing."""

from __future__ import annotations

import gzip
import json
import time

import numpy as np
import pytest

from tests.conftest import claim_next
from webapp.jobs import metrics, reporting
from webapp.jobs.columns import Columns, Series
from webapp.jobs.models import Attempt, Job, MetricChunk, Worker

STEPS = 100_000
NAMES = ("loss", "grad_norm", "tokens_per_second", "step_seconds")
MOST_BYTES = 22_000
"""Compressed, of each metric in 1,000 buckets."""
MOST_SECONDS = 1.0
"""Of processor time."""


@pytest.fixture
def attempt(job: Job, worker: Worker) -> Attempt:
    claimed = claim_next(worker)
    assert claimed
    assert claimed.attempt
    reporting.acknowledge(claimed.attempt)
    return claimed.attempt


def test_noisy_history_keeps_its_budget(attempt: Attempt) -> None:
    chance = np.random.default_rng(0)
    steps = np.arange(1, STEPS + 1)
    noisy = {name: Series(np.arange(STEPS), chance.normal(2, 0.3, STEPS).astype(np.float32)) for name in NAMES}
    columns = Columns(steps, steps, (1.7e9 + steps * 0.4).astype(np.float64), (steps / 333).astype(np.float64), noisy)
    MetricChunk.objects.create(
        job=attempt.job,
        attempt=attempt,
        first_event=1,
        last_event=STEPS,
        first_step=1,
        last_step=STEPS,
        points=STEPS,
        payload=columns.pack(),
    )
    began = time.process_time()
    answer = metrics.history(attempt.job, None, 1000, 0.6)
    assert time.process_time() - began < MOST_SECONDS
    assert len(gzip.compress(json.dumps(answer).encode())) <= MOST_BYTES * len(NAMES)
    whole, _ = metrics.smoothed(noisy["loss"].values.astype(np.float64), 0.6)
    assert answer["smooth"]["loss"][-1] == pytest.approx(whole[-1], rel=1e-6)
