"""The broker is killed, wiped, stopped, full, damaged or out of reach: the database row is the job, so nothing is lost.

Times are shortened with the test timings: where the table says five minutes, here it is some seconds, which is as many
leases and sweeps.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis

from tests.faults.chaos_proxy import Rule
from tests.nemesis.site import Site, until

pytestmark = pytest.mark.slow
LONG = {"max_steps": 150}
LONGER = {"max_steps": 400}
"""Eight seconds: a loaded machine needs some of them to submit four more jobs meanwhile."""


def client_of(site: Site) -> redis.Redis:
    return redis.Redis.from_url(site.broker.url, protocol=2)


def all_succeed(site: Site, jobs: list[int], seconds: float = 60) -> None:
    for job in jobs:
        ended = site.wait_for_state(job, "succeeded", "failed", "cancelled", seconds=seconds)
        assert ended["state"] == "succeeded", ended["reason"]


@pytest.mark.fault(13)
def test_a_killed_broker_disturbs_no_running_job_and_keeps_the_queue(workers: Site) -> None:
    site = workers
    running = [site.submit(training=LONGER), site.submit(training=LONGER)]
    for job in running:
        site.wait_for_state(job, "running")
    waiting = [site.submit() for _ in range(4)]
    site.valkey.kill()
    assert site.queue() == waiting
    site.valkey.restart()
    until("the broker is back", site.broker.answers)
    assert site.queue() == waiting
    all_succeed(site, [*running, *waiting])
    assert [site.attempts(job) for job in running] == [1, 1]
    assert [site.steps(job) for job in running] == 2 * [list(range(1, 401))]


@pytest.mark.fault(14)
def test_a_wiped_broker_loses_no_queued_job(workers: Site) -> None:
    site = workers
    site.to_broker.add(Rule(blackhole=True))  # idle workers that hear no permit
    jobs = [site.submit() for _ in range(4)]
    with client_of(site) as client:
        client.flushall()
    before = time.monotonic()
    site.to_broker.heal()
    until("all have started", lambda: all(site.job(job)["state"] != "queued" for job in jobs), 30)
    assert time.monotonic() - before <= 30
    all_succeed(site, jobs)


@pytest.mark.fault(15)
def test_without_a_broker_jobs_run_on_and_new_ones_are_taken(workers: Site) -> None:
    """Shortened: the broker is away for about ten sweeps, not for five minutes."""
    site = workers
    running = site.submit(training=LONG)
    site.wait_for_state(running, "running")
    step = site.job(running)["progress"]["step"]
    site.valkey.kill()
    before = time.monotonic()
    queued = [site.submit() for _ in range(3)]
    assert (time.monotonic() - before) / 3 < 5  # a submit does not wait for who is not there
    until("the running job moves", lambda: site.job(running)["progress"]["step"] > step, 15)
    with site.stream(running) as lines:
        numbers = [number for number, _ in zip(lines, range(30), strict=False)]
    assert numbers == list(range(1, 31))  # the live view comes from the database
    site.wait_for_state(running, "succeeded", seconds=20)
    site.valkey.restart()
    all_succeed(site, queued)
    assert site.attempts(running) == 1


@contextlib.contextmanager
def full(site: Site) -> Iterator[None]:
    with client_of(site) as client:
        client.config_set("maxmemory", 1)
        with pytest.raises(redis.OutOfMemoryError):
            client.set("proof", "full")
        try:
            yield
        finally:
            client.config_set("maxmemory", 0)


@pytest.mark.fault(16)
def test_a_full_broker_takes_no_permit_and_heals_alone(workers: Site) -> None:
    """By `maxmemory`; the same error reaches the site from a full disk (MISCONF), which needs a mount of its own."""
    site = workers
    with full(site):
        jobs = [site.submit() for _ in range(2)]
        assert {site.job(job)["state"] for job in jobs} <= {"queued", "starting", "running", "succeeded"}
    all_succeed(site, jobs)
    site.wait_for_state(site.submit(), "succeeded")


@pytest.mark.fault(16)
def test_workers_that_take_permits_from_a_full_broker_outlive_it(workers: Site) -> None:
    """Taking one writes, so the broker refuses it to a consumer that is connected already, and then to reconnect."""
    site = workers
    for worker in site.workers[:2]:
        worker.signal(signal.SIGSTOP)
    jobs = [site.submit() for _ in range(4)]
    with full(site):
        for worker in site.workers[:2]:
            worker.signal(signal.SIGCONT)
        time.sleep(3)  # the length of the fault itself
    all_succeed(site, jobs)
    assert all(worker.alive for worker in site.workers[:2])


@pytest.mark.fault(17)
def test_a_cut_append_only_file_is_read_up_to_the_cut(workers: Site) -> None:
    site = workers
    site.to_broker.add(Rule(blackhole=True))
    jobs = [site.submit() for _ in range(3)]
    until("the file is written", lambda: sum(path.stat().st_size for path in append_only(site)) > 7, 5)
    site.valkey.kill()
    torn = max(append_only(site), key=lambda path: path.stat().st_size)
    with torn.open("rb+") as file:
        file.truncate(torn.stat().st_size - 7)
    site.valkey.restart()
    until("the broker starts from a torn file", site.broker.answers)
    site.to_broker.heal()
    all_succeed(site, jobs)


def append_only(site: Site) -> list[Path]:
    return list((site.broker.folder / "appendonlydir").glob("*.incr.aof"))


@pytest.mark.fault(18)
def test_after_a_blackholed_broker_permits_are_back_at_once(workers: Site) -> None:
    """Shortened: held for eight seconds instead of forty; nothing is closed, so no side hears of it."""
    site = workers
    site.to_broker.add(Rule(blackhole=True))
    with ThreadPoolExecutor() as pool:
        jobs = list(pool.map(lambda _: site.submit(), range(4)))
    time.sleep(8)  # the length of the fault itself
    site.to_broker.heal()
    healed = time.monotonic()
    until("permits are back", lambda: all(site.job(job)["state"] != "queued" for job in jobs), 15)
    assert time.monotonic() - healed <= 15
    all_succeed(site, jobs)
