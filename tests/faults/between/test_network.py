"""The way between workers and site is cut, flaps, or loses single answers; then the whole site is away.

Times are shortened with the test timings: the lease is 3 s instead of 30, so 10 s become 1 s and 2 min some leases.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.faults.chaos_proxy import ChaosProxy, Rule
from tests.nemesis.checker import ended_attempts_write_nothing, writes_never_interleave
from tests.nemesis.journal import read_journals
from tests.nemesis.running import collected
from tests.nemesis.site import SHORT_TIMINGS, Daemon, Site, until

pytestmark = pytest.mark.slow
STEPS = 200
LONG = {"max_steps": STEPS}
WHOLE = list(range(1, STEPS + 1))


@pytest.fixture
def way(site: Site) -> Iterator[ChaosProxy]:
    """A way to the site that one worker has for itself."""
    with ChaosProxy(site.port) as way:
        yield way


def running_job(site: Site) -> int:
    job = site.submit(training=LONG)
    site.wait_for_state(job, "running")
    until("it trains", lambda: site.job(job)["progress"]["step"] >= 20, 15)
    return job


def event_numbers_are_whole(site: Site, job: int) -> bool:
    numbers = [event["n"] for event in site.events(job)]
    return numbers == list(range(1, len(numbers) + 1))


@pytest.mark.fault(19)
def test_a_short_cut_is_not_seen_at_all(workers: Site) -> None:
    site = workers
    job = running_job(site)
    site.to_site.add(Rule(blackhole=True))
    time.sleep(SHORT_TIMINGS["lease_seconds"] / 3)  # the length of the fault itself
    site.to_site.heal()
    site.wait_for_state(job, "succeeded", seconds=25)
    assert site.attempts(job) == 1
    assert site.steps(job) == WHOLE
    assert event_numbers_are_whole(site, job)


@pytest.mark.fault(19)
def test_a_long_cut_fences_the_worker_and_another_one_goes_on(site: Site, way: ChaosProxy) -> None:
    site.stop_workers()
    cut_off = site.add_worker(way)
    cut_off.start()
    until("it is online", lambda: cut_off.name in site.online(), 30)
    job = running_job(site)
    way.add(Rule(blackhole=True))
    helper = site.add_worker()
    helper.start()
    until("another worker has it", lambda: site.attempts(job) == 2, 25)
    way.heal()
    until("the old training is gone", lambda: not trees_of(site, cut_off), 5)
    site.wait_for_state(job, "succeeded", seconds=25)
    assert site.steps(job) == WHOLE
    assert event_numbers_are_whole(site, job)
    assert "worker_lost" in site.reasons(job)
    evidence = collected(site)
    evidence.journal = read_journals(site.journals)
    assert [entry for entry in evidence.journal if entry.actor == cut_off.name and entry.status == 409]
    assert list(writes_never_interleave(evidence)) == []
    assert list(ended_attempts_write_nothing(evidence)) == []
    cut_off.bury()


def trees_of(site: Site, worker: Daemon) -> list[int]:
    return [process.pid for process in site.marked(worker.name)]


@pytest.mark.fault(21)
def test_a_flapping_link_makes_no_new_attempt_and_no_point_twice(workers: Site) -> None:
    """Shortened: eight rounds of half a second, under a lease of 3 s, instead of a minute under one of 30 s."""
    site = workers
    job = running_job(site)
    for _ in range(8):
        site.to_site.add(Rule(reset=True))
        time.sleep(0.5)
        site.to_site.heal()
        time.sleep(0.5)
    site.wait_for_state(job, "succeeded", seconds=25)
    assert site.attempts(job) == 1
    assert site.steps(job) == WHOLE
    assert event_numbers_are_whole(site, job)


@pytest.mark.fault(10)
def test_a_lost_claim_reply_gives_the_same_attempt_again(workers: Site) -> None:
    site = workers
    site.to_site.add(Rule("POST .*/claim", drop_reply=True, times=1))
    job = site.submit()
    site.wait_for_state(job, "succeeded", seconds=25)
    assert site.attempts(job) <= 2  # the same claim again, or after the ack limit a new one
    assert site.steps(job) == list(range(1, 51))


@pytest.mark.fault(20)
def test_while_uploads_are_blackholed_the_training_goes_on(workers: Site) -> None:
    site = workers
    job = running_job(site)
    site.to_site.add(Rule("PUT .*/files/", blackhole=True))
    step = site.job(job)["progress"]["step"]
    until("heartbeats and metrics pass", lambda: site.job(job)["progress"]["step"] > step + 20, 15)
    site.to_site.heal()
    site.wait_for_state(job, "succeeded", seconds=25)
    assert site.attempts(job) == 1
    assert site.steps(job) == WHOLE


@pytest.mark.fault(61)
def test_a_site_that_was_away_blames_no_worker(workers: Site) -> None:
    """Shortened: broker, web and housekeeping are all away for two leases, not for five minutes."""
    site = workers
    jobs = [running_job(site), running_job(site)]
    for daemon in (site.housekeeping, site.web, site.valkey):
        daemon.kill()
    time.sleep(2 * SHORT_TIMINGS["lease_seconds"])  # the length of the fault itself
    for daemon in (site.valkey, site.web, site.housekeeping):
        daemon.restart()
    until("the site is back", site.whole, 30)
    for job in jobs:
        site.wait_for_state(job, "succeeded", seconds=25)
        assert site.reasons(job) == ["finished"]
        assert site.attempts(job) == 1
        assert site.steps(job) == WHOLE
        assert event_numbers_are_whole(site, job)


@pytest.mark.fault(51)
def test_the_queue_has_the_same_order_after_everything_was_restarted(site: Site) -> None:
    """In small: 60 jobs; benchmarks/queue.py measures the page with 1,000."""
    site.stop_workers()
    jobs = [site.submit(priority=number % 3) for number in range(60)]
    before = site.queue()
    assert set(before) == set(jobs)
    for daemon in (site.housekeeping, site.web, site.valkey):
        daemon.kill()
    for daemon in (site.valkey, site.web, site.housekeeping):
        daemon.restart()
    until("the site is back", site.whole, 30)
    assert site.queue() == before
