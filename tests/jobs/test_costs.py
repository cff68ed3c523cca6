"""Memory and time before launch: arithmetic written out, calibration from three jobs on, devices, and the judgement."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from tests.conftest import Cast
from webapp.basemodels.models import BaseModel
from webapp.datasets.models import DatasetVersion
from webapp.jobs import costs as costing
from webapp.jobs.accuracy import judge, summed_up
from webapp.jobs.costs import Costs, costs, parts_of
from webapp.jobs.estimating import Estimate, estimate
from webapp.jobs.launching import Launch, launch
from webapp.jobs.models import Job, Worker
from workers.methods import METHODS

MIB = 2**20


@pytest.fixture
def wanted(cast: Cast, base_model: BaseModel, version: DatasetVersion) -> Launch:
    training = {"max_steps": 100, "batch_size": 8, "max_length": 32}
    return Launch(cast.team, base_model, version, "lora", {"rank": 4}, training)


def exact_of(job: Job) -> Estimate:
    return estimate(METHODS[job.method], job.base_model, job.dataset_version, job.spec)


def told(job: Job) -> Costs:
    return costs(job.team, METHODS[job.method], job.base_model, job.dataset_version, exact_of(job))


def finish(job: Job, factor: float, seconds: float) -> None:
    """It succeeded with so many times the arithmetic's memory."""
    exact, now = exact_of(job), timezone.now()
    args = METHODS[job.method], job.base_model.read_shape, job.task
    parts = parts_of(*args, exact.trainable_parameters, exact.training, "cpu")
    Job.objects.filter(pk=job.pk).update(
        state="succeeded",
        memory_kind="process memory",
        peak_memory_bytes=round(factor * sum(parts.values())),
        trainable_parameters=exact.trainable_parameters,
        total_steps=100,
        started_at=now - timedelta(seconds=seconds),
        ended_at=now,
    )


def test_the_parts_are_the_arithmetic_written_out(cast: Cast, wanted: Launch) -> None:
    job = launch(cast.bob, wanted)
    exact, shape = exact_of(job), job.base_model.read_shape
    parts = parts_of(METHODS["lora"], shape, job.task, 1000, exact.training, "cpu")
    assert parts == {
        "weights": 4 * 20_000,
        "delta": 4000,
        "gradients": 4000,
        "optimizer": 8000,
        "activations": 4 * 17 * 8 * 32 * 32 * 2,
        "runtime": 450 * MIB,
    }


def test_below_three_jobs_it_is_rough_from_three_on_it_is_measured(cast: Cast, wanted: Launch) -> None:
    jobs = [launch(cast.bob, wanted) for _ in range(4)]
    assert told(jobs[3]).rough
    assert told(jobs[3]).seconds is None
    for job, factor in zip(jobs, (1.4, 1.5, 1.6), strict=False):
        finish(job, factor, seconds=50 * factor)
    found = told(jobs[3])
    arithmetic = sum(found.parts.values())
    assert (found.rough, found.alike) == (False, 3)
    assert found.memory.low == pytest.approx(1.42 * 0.97 * arithmetic, rel=1e-3)
    assert found.memory.high == pytest.approx(1.58 * 1.03 * arithmetic, rel=1e-3)
    assert found.seconds
    assert found.seconds.low == pytest.approx(exact_of(jobs[3]).steps * 0.71 * 0.97, rel=1e-2)


def test_jobs_of_another_size_or_family_measure_nothing(cast: Cast, wanted: Launch) -> None:
    for change in ({"batch_size": 4}, {"max_length": 16}):
        for _ in range(3):
            job = launch(cast.bob, Launch(**{**vars(wanted), "training": {**wanted.training, **change}}))
            finish(job, 3.0, 60)
    assert told(launch(cast.bob, wanted)).rough


def test_a_device_that_is_too_small_is_said_with_the_batch_that_fits(
    cast: Cast, wanted: Launch, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(costing, "RUNTIME_BYTES", {"cpu": 0, "cuda": 0})
    job = launch(cast.bob, Launch(**{**vars(wanted), "training": {**wanted.training, "batch_size": 256}}))
    need = told(job).memory.high
    device = {"kind": "cuda", "index": 0, "name": "small", "memory_bytes": round(need / 3), "memory_free_bytes": 1}
    Worker.objects.filter(pk=worker.pk).update(last_hello_at=timezone.now(), report={"devices": [device]})
    found = told(job)
    (fit,) = found.fits
    assert not fit.fits
    assert fit.largest_batch
    assert fit.largest_batch < 256
    assert found.remedy == {"batch_size": fit.largest_batch}


def test_full_fine_tuning_stands_beside_it_and_needs_more(cast: Cast, wanted: Launch) -> None:
    found = told(launch(cast.bob, wanted))
    assert found.full_memory.high > found.memory.high


def test_a_job_keeps_what_was_said_and_is_judged_by_it(cast: Cast, wanted: Launch) -> None:
    job = launch(cast.bob, wanted)
    assert judge(job) is None
    finish(job, 1.0, 60)
    job.refresh_from_db()
    judged: Any = judge(job)
    assert judged.rough
    assert judged.memory.inside
    assert judged.memory.error_percent == pytest.approx(100 * (1 / 1.1 - 1), abs=0.1)
    summary = summed_up([judged.memory, None])
    assert (summary.jobs, summary.inside) == (1, 1)
