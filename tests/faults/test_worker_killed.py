"""A worker dies, freezes or is told to leave in the middle of a training; the job goes on elsewhere."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.faults.chaos_proxy import ChaosProxy, Rule
from tests.faults.machines import Machines, Part, marked, wait_for

pytestmark = pytest.mark.slow
STEPS = 60
LONG = f"toy steady {STEPS} 0.4 5 0.02"
"""Takes 24 s if nobody disturbs it; resumed, it hurries."""


def well_on_its_way(job: dict[str, Any]) -> bool:
    """So far that a checkpoint is in, and so early that much is left."""
    return bool(job["state"] == "running" and job["progress"]["step"] >= 6)


def running_on(site: Machines, job: int) -> tuple[Part, Path]:
    """The worker that runs the job, and its home; another one of the pool is idle."""
    site.wait_for_job(job, well_on_its_way)
    name = site.events(job, "attempt")[-1]["worker"]
    return site.parts[name], site.home(name)


def two_workers(site: Machines, pool: str) -> None:
    names = (f"{pool}-1", f"{pool}-2")
    for name in names:
        site.worker(name, pool=pool)
    wait_for("both workers", lambda: all("waits for jobs" in site.parts[name].said() for name in names))


@pytest.mark.fault(1)
def test_a_killed_worker_costs_one_save_interval(site: Machines) -> None:
    two_workers(site, "killed")
    job = site.launch(LONG, pool="killed")
    worker, home = running_on(site, job)
    reached = site.job(job)["progress"]["step"]
    worker.kill()
    died_at = time.monotonic()
    wait_for("the tree to be gone", lambda: not marked(home), 5)
    site.wait_for_job(job, lambda found: found["attempt"] == 2)
    assert time.monotonic() - died_at < 3 + 5  # the lease, and five seconds
    site.wait_for_state(job, "succeeded")
    assert site.steps(job) == list(range(1, STEPS + 1))
    assert ("running", "queued", "worker_lost") in site.history(job)
    assert resumed_step(site, job) >= reached - 6


def resumed_step(site: Machines, job: int) -> int:
    return int(site.events(job, "plan")[-1]["resumed_step"])


@pytest.mark.fault(1)
def test_a_worker_that_comes_back_at_once_ends_its_own_past(site: Machines) -> None:
    """The new boot says hello: nobody waits for the lease."""
    worker = site.worker("phoenix", pool="phoenix")
    job = site.launch(LONG, pool="phoenix")
    site.wait_for_job(job, well_on_its_way)
    worker.kill()
    worker.start()
    site.wait_for_job(job, lambda found: found["attempt"] == 2)
    site.wait_for_state(job, "succeeded")
    assert site.steps(job) == list(range(1, STEPS + 1))


@pytest.mark.fault(6)
def test_a_frozen_worker_wakes_up_and_writes_nothing(site: Machines) -> None:
    two_workers(site, "frozen")
    job = site.launch(LONG, pool="frozen")
    frozen, home = running_on(site, job)
    frozen.signal(signal.SIGSTOP)
    site.wait_for_job(job, lambda found: found["attempt"] == 2 and found["state"] == "running")
    frozen.signal(signal.SIGCONT)
    wait_for("the old tree to be gone", lambda: not marked(home), 5)
    site.wait_for_state(job, "succeeded")
    assert site.steps(job) == list(range(1, STEPS + 1))
    assert [change for change in site.history(job) if change[2]] == [
        ("running", "queued", "worker_lost"),
        ("running", "succeeded", "finished"),
    ]
    assert frozen.alive


@pytest.mark.fault(7)
def test_a_drained_worker_hands_its_job_over_and_loses_no_step(site: Machines) -> None:
    leaving = site.worker("leaving", pool="drained")
    job = site.launch(LONG, pool="drained")
    site.wait_for_job(job, well_on_its_way)
    leaving.signal(signal.SIGTERM)
    assert leaving.wait() == 0
    found = site.job(job)
    assert (found["state"], found["reason"]["code"]) == ("queued", "drained")
    site.worker("staying", pool="drained")
    site.wait_for_state(job, "succeeded")
    assert site.steps(job) == list(range(1, STEPS + 1))
    assert resumed_step(site, job) >= found["progress"]["step"]


@pytest.mark.fault(2)
def test_a_killed_trainer_is_told_apart_from_a_lost_worker(site: Machines) -> None:
    worker = site.worker("survivor", pool="trainer")
    job = site.launch(LONG, pool="trainer")
    site.wait_for_job(job, well_on_its_way)
    youngest = max(marked(site.home("survivor")), key=lambda process: process.create_time())
    assert "toy_trainer.py" in " ".join(youngest.cmdline())
    youngest.kill()
    site.wait_for_state(job, "succeeded")
    assert ("running", "queued", "trainer_killed") in site.history(job)
    assert site.steps(job) == list(range(1, STEPS + 1))
    assert worker.alive


@pytest.mark.fault(10)
def test_a_claim_whose_answer_is_lost_is_asked_for_again(site: Machines) -> None:
    """The proxy lets the claim through and drops the answer: the same claim gets the same attempt."""
    with ChaosProxy(int(site.url.rsplit(":", 1)[1])) as proxy:
        proxy.add(Rule(path="/claim", drop_reply=True, times=1))
        job = site.launch("toy steady 10 0.02 5", pool="lossy")
        site.worker("patient", "--site", proxy.url, pool="lossy")
        done = site.wait_for_state(job, "succeeded")
        assert sum("/claim" in line for line in proxy.seen) >= 2
    assert done["attempt"] == 1
    assert [after for _, after, _ in site.history(job)] == ["queued", "starting", "running", "succeeded"]


@pytest.mark.fault(10)
def test_a_job_whose_worker_stops_for_good_after_the_lost_answer_runs_elsewhere(site: Machines) -> None:
    with ChaosProxy(int(site.url.rsplit(":", 1)[1])) as proxy:
        proxy.add(Rule(path="/claim", drop_reply=True))
        worker = site.worker("stopping", "--site", proxy.url, pool="stopping")
        job = site.launch("toy steady 10 0.02 5", pool="stopping")
        site.wait_for_job(job, lambda found: found["state"] == "starting")
        claimed_at = time.monotonic()
        worker.kill()
    site.wait_for_job(job, lambda found: found["state"] == "queued")
    assert time.monotonic() - claimed_at < 3 + 5  # the ack limit, and some sweeps
    site.worker("going-on", pool="stopping")
    site.wait_for_state(job, "succeeded")
    ends = [(after, code) for _, after, code in site.history(job)]
    assert ends[:3] == [("queued", ""), ("starting", ""), ("queued", "not_acked")]
    assert [after for after, _ in ends[3:]] == ["starting", "running", "succeeded"]


@pytest.mark.fault(37)
def test_a_job_whose_worker_dies_each_time_ends_after_three(site: Machines) -> None:
    worker = site.worker("victim", pool="poison")
    poison = site.launch("toy stubborn", pool="poison")
    good = site.launch("toy steady 10 0.02 5", pool="poison")
    for life in (1, 2, 3):
        site.wait_for_job(poison, lambda found: found["attempt"] == life and found["progress"]["step"] > 0)  # noqa: B023
        worker.kill()
        worker.start()
    found = site.wait_for_state(poison, "failed")
    assert (found["reason"]["code"], found["attempt"]) == ("crashed_worker", 3)
    site.wait_for_state(good, "succeeded")
    assert worker.alive


@pytest.mark.fault(37)
def test_a_trainer_that_shoots_at_its_parent_hits_only_itself(site: Machines) -> None:
    worker = site.worker("walled", pool="walled")
    poison = site.launch("toy poison", pool="walled")
    found = site.wait_for_state(poison, "failed", seconds=60)
    assert (found["reason"]["code"], found["attempt"]) == ("crashed_worker", 3)
    assert worker.alive
