"""Two who act on one job at the same moment: one of them wins, and the rows say so."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier
from typing import Any

import pytest
from django.db import connection

from tests.conftest import Cast, claim_next, make_job
from tests.faults.legality import check_legal
from webapp.basemodels.models import BaseModel
from webapp.datasets.models import DatasetVersion
from webapp.jobs import reporting, transitions
from webapp.jobs.models import Artifact, Job, Worker

pytestmark = pytest.mark.django_db(transaction=True)
ROUNDS, ROUNDS_SECONDS, FEWEST = 500, 12.0, 20


def together(*calls: Callable[[], Any]) -> list[Any]:
    """Run all at the same moment, each on a connection of its own; results or the refusals they met."""
    barrier = Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        try:
            barrier.wait(10)
            return call()
        except (transitions.NotNow, transitions.StaleAttempt) as refusal:
            return refusal
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


@pytest.mark.fault(39)
def test_cancel_against_finish_has_one_end(
    cast: Cast, base_model: BaseModel, version: DatasetVersion, record_property: Callable[[str, object], None]
) -> None:
    """500 rounds, or as many as fit into twelve seconds; how many is noted in the report."""
    worker = Worker.objects.create(name="w1", boot_id="boot-1")
    ends: list[str] = []
    until = time.monotonic() + ROUNDS_SECONDS
    while len(ends) < ROUNDS and (time.monotonic() < until or len(ends) < FEWEST):
        job = make_job(cast, base_model, version)
        claimed = claim_next(worker, f"c{len(ends)}")
        assert claimed
        assert claimed.attempt
        attempt = claimed.attempt
        reporting.acknowledge(attempt)
        Artifact.objects.create(job=job, attempt=attempt, bytes=1, files=[], manifest={})
        cancelled, finished = together(
            partial(transitions.act, job, cast.bob, "cancel"),
            partial(transitions.end_attempt, attempt, "worker w1", "succeeded"),
        )
        after = check_legal(job.pk)
        refused = isinstance(cancelled, transitions.NotNow)
        assert isinstance(finished, Job), finished
        assert after.state == ("succeeded" if refused else "cancelled")
        assert job.history.filter(after__in=["succeeded", "cancelled"]).count() == 1
        ends.append(after.state)
    record_property("rounds", f"{ends.count('cancelled')} cancelled, {ends.count('succeeded')} succeeded")


@pytest.mark.fault(40)
def test_retry_pressed_ten_times_at_once_is_one_new_job(
    cast: Cast, base_model: BaseModel, version: DatasetVersion
) -> None:
    job = make_job(cast, base_model, version)
    transitions.act(job, cast.bob, "cancel")
    made = together(*[lambda: transitions.act(job, cast.bob, "retry")] * 10)
    assert len({again.pk for again in made}) == 1
    assert job.retries.count() == 1


@pytest.mark.fault(40)
def test_resume_pressed_ten_times_at_once_is_one_requeue(
    cast: Cast, base_model: BaseModel, version: DatasetVersion
) -> None:
    job = make_job(cast, base_model, version)
    transitions.act(job, cast.bob, "pause")
    answers = together(*[lambda: transitions.act(job, cast.bob, "resume")] * 10)
    assert sum(isinstance(answer, Job) for answer in answers) == 1
    assert [change.after for change in job.history.all()] == ["paused", "queued"]
    check_legal(job.pk)


@pytest.mark.fault(12)
def test_ten_claims_at_once_for_one_job_make_one_attempt(
    cast: Cast, base_model: BaseModel, version: DatasetVersion
) -> None:
    """A permit that is delivered ten times is ten workers that ask."""
    job = make_job(cast, base_model, version)
    workers = [Worker.objects.create(name=f"w{number}", boot_id="boot-1") for number in range(10)]
    answers = together(*[partial(claim_next, worker) for worker in workers])
    assert sum(answer is not None for answer in answers) == 1
    assert job.attempts.count() == 1
    check_legal(job.pk)


def test_events_and_a_cancel_at_once_do_not_wait_for_each_other(
    cast: Cast, base_model: BaseModel, version: DatasetVersion
) -> None:
    """They lock the same two rows; on PostgreSQL a wrong order would be a deadlock."""
    job = make_job(cast, base_model, version)
    claimed = claim_next(Worker.objects.create(name="w1", boot_id="boot-1"))
    assert claimed
    assert claimed.attempt
    attempt = claimed.attempt
    reporting.acknowledge(attempt)
    for number in range(20):
        Job.objects.filter(pk=job.pk).update(wish="run")
        batch = partial(reporting.accept, attempt, number + 1, [{"kind": "log", "text": "x"}])
        said, _ = together(batch, lambda: transitions.act(job, cast.bob, "pause"))
        assert said == number + 1
    check_legal(job.pk)
