"""When leases end and when not: while workers cannot be heard, after a pause, after a jump of the clock; who sweeps."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models import F
from django.test import Client
from django.utils import timezone

from tests.conftest import Cast, claim_next, make_job
from tests.faults.legality import awake_reconciler, let_every_lease_run_out
from webapp.basemodels.models import BaseModel
from webapp.datasets.models import DatasetVersion
from webapp.jobs import enrolling, reporting, transitions
from webapp.jobs.health import health
from webapp.jobs.models import Attempt, Job, Sweep, Worker
from webapp.jobs.probing import Probe
from webapp.jobs.reconciling import Reconciler, give_back_unacknowledged


@pytest.fixture
def attempt(job: Job, worker: Worker) -> Attempt:
    claimed = claim_next(worker)
    assert claimed
    assert claimed.attempt
    reporting.acknowledge(claimed.attempt)
    return claimed.attempt


def state() -> str:
    return Job.objects.get().state


def test_no_lease_ends_while_the_worker_api_does_not_answer(attempt: Attempt) -> None:
    reconciler = awake_reconciler()
    reconciler.answers = Probe("http://127.0.0.1:9").answers  # a real address where nobody listens
    let_every_lease_run_out()
    reconciler.turn()
    assert state() == "running"


def test_no_lease_ends_where_nobody_knows_the_worker_apis_address(attempt: Attempt) -> None:
    reconciler = awake_reconciler()
    reconciler.answers = Probe("").answers
    let_every_lease_run_out()
    reconciler.turn()
    assert state() == "running"


def test_when_workers_are_heard_again_they_first_get_a_whole_lease(attempt: Attempt) -> None:
    reconciler = awake_reconciler()
    reconciler.answers = lambda: False
    let_every_lease_run_out()
    reconciler.turn()
    reconciler.answers = lambda: True
    reconciler.turn()
    assert state() == "running"
    let_every_lease_run_out()
    reconciler.turn()
    assert state() == "queued"


@pytest.mark.fault(50)
@pytest.mark.parametrize("hours", [1, -1])
def test_a_jump_of_the_databases_clock_ends_no_lease(attempt: Attempt, hours: int) -> None:
    """Every stored moment is an hour further away than it was, as after a jump; the monotonic clock is not."""
    reconciler = awake_reconciler()
    assert reconciler.clock_offset is not None
    Attempt.objects.update(lease_until=F("lease_until") - timedelta(hours=hours))
    reconciler.clock_offset -= hours * 3600
    reconciler.turn()
    assert state() == "running"
    left = Attempt.objects.get().lease_until - timezone.now()
    assert timedelta(0) < left < timedelta(minutes=1), "a jump back leaves no lease that lasts an hour"


def test_a_step_that_fails_keeps_no_other_from_running(attempt: Attempt, base_model: BaseModel) -> None:
    reconciler = awake_reconciler()
    BaseModel.objects.update(state="checking", files=[{"no": "name"}])  # ask_again trips over it
    let_every_lease_run_out()
    reconciler.turn()
    assert state() == "queued"


@pytest.mark.fault(56)
def test_of_two_reconcilers_one_sweeps_and_the_other_takes_over_when_it_is_gone(db: None) -> None:
    first, second = Reconciler(answers=lambda: True), Reconciler(answers=lambda: True)
    assert [first.turn(), second.turn(), first.turn()] == [True, False, True]
    Sweep.objects.update(held_until=timezone.now() - timedelta(seconds=1))  # the first has been silent
    assert [second.turn(), first.turn()] == [True, False]
    second.leave()
    assert first.turn()


@pytest.mark.fault(56)
def test_without_a_sweep_the_site_is_red(db: None) -> None:
    assert Client().get("/api/v1/healthz").status_code == 503
    awake_reconciler()
    assert health().sweep.state == "ok"
    assert Client().get("/api/v1/healthz").json()["status"] == "degraded"  # no broker runs in this test
    Sweep.objects.update(swept_at=timezone.now() - timedelta(seconds=21))
    answer = Client().get("/api/v1/healthz")
    assert answer.status_code == 503
    assert "No sweep for 2" in answer.json()["sweep"]["sentence"]


# ---- Claims that nobody acknowledges ------------------------------------------------------------


def test_an_ack_that_comes_too_late_is_refused(job: Job, worker: Worker) -> None:
    claimed = claim_next(worker)
    assert claimed
    assert claimed.attempt
    let_every_lease_run_out()
    with pytest.raises(transitions.StaleAttempt):
        reporting.acknowledge(claimed.attempt)
    assert state() == "starting"
    give_back_unacknowledged()
    assert state() == "queued"


def test_three_silent_claims_in_ten_minutes_suspend_a_worker_until_a_person_or_a_new_process_says_otherwise(
    cast: Cast, base_model: BaseModel, version: DatasetVersion, worker: Worker
) -> None:
    for number in range(3):
        assert Worker.objects.get().takes_jobs
        make_job(cast, base_model, version)
        assert claim_next(worker, f"c{number}")
        let_every_lease_run_out()
        give_back_unacknowledged()
    worker.refresh_from_db()
    assert worker.suspended_at is not None
    assert not worker.takes_jobs
    enrolling.drain(worker, cast.root, on=False)
    assert Worker.objects.get().takes_jobs
    Worker.objects.update(suspended_at=timezone.now())
    enrolling.hello(worker, {"boot_id": "boot-2"})
    assert Worker.objects.get().takes_jobs


def test_the_third_attempt_waits_and_the_second_does_not(attempt: Attempt, worker: Worker) -> None:
    transitions.end_attempt(attempt, "worker w1", "failed", "trainer_killed")
    second = claim_next(worker, "c2")
    assert second
    assert second.attempt
    reporting.acknowledge(second.attempt)
    job = transitions.end_attempt(second.attempt, "worker w1", "failed", "host_oom")
    assert job.not_before is not None
    assert job.not_before > timezone.now() - timedelta(seconds=1)
    assert claim_next(worker, "c3") is None
    Job.objects.update(not_before=timezone.now() - timedelta(seconds=1))
    third = claim_next(worker, "c4")
    assert third
    assert third.attempt
    reporting.acknowledge(third.attempt)
    job = transitions.end_attempt(third.attempt, "worker w1", "failed", "host_oom", detail={"signal": 9})
    assert (job.state, job.reason_code) == ("failed", "crashed_worker")
    assert job.reason_detail == {"signal": 9, "last_reason": "host_oom"}
