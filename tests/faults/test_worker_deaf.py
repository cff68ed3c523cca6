"""A worker whose connection to the broker died without a word: it is found out, and the job does not wait for it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.faults.frozen_line import FrozenLine, line_to
from tests.faults.machines import Machines, Part, machines, wait_for
from workers.deafness import Hearing, answers

START_AFRESH = 75
DEAF_SECONDS = 3.0


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """A site on which a worker counts as deaf soon."""
    with machines(tmp_path_factory.mktemp("deaf"), {"deaf_seconds": DEAF_SECONDS}) as site:
        yield site


@pytest.fixture
def line(impatient: Machines) -> Iterator[FrozenLine]:
    with line_to(impatient.broker.port) as line:
        yield line


def behind(line: FrozenLine, site: Machines, name: str, pool: str, *options: str) -> Part:
    url = site.broker.url.replace(f":{site.broker.port}/", f":{line.port}/")
    worker = site.worker(name, *options, pool=pool, REDIS_URL=url)
    wait_for("its first hello", lambda: "waits for jobs" in worker.said())
    return worker


@pytest.mark.slow
@pytest.mark.fault(64)
def test_an_idle_deaf_worker_starts_afresh(impatient: Machines, line: FrozenLine) -> None:
    deaf = behind(line, impatient, "deaf", "deaf")
    first = impatient.launch("toy steady 3 0.02 5", pool="deaf")
    impatient.wait_for_state(first, "succeeded")  # it hears well so far
    line.freeze()
    job = impatient.launch("toy steady 3 0.02 5", pool="deaf")
    frozen_at = time.monotonic()
    assert deaf.wait(20) == START_AFRESH
    assert time.monotonic() - frozen_at >= DEAF_SECONDS
    assert "No permit comes through although work waits" in deaf.said()
    deaf.start()  # as the supervisor of `up` does at once
    impatient.wait_for_state(job, "succeeded")


@pytest.mark.slow
@pytest.mark.fault(64)
def test_a_deaf_worker_with_an_attempt_says_so_and_leaves_after_it(impatient: Machines, line: FrozenLine) -> None:
    """Two slots, one at work: the waiting job runs elsewhere meanwhile, and the running one is not disturbed."""
    deaf = behind(line, impatient, "hoarse", "hoarse", "--slots", "2")
    running = impatient.launch("toy steady 70 0.1 5", pool="hoarse")
    impatient.wait_for_job(running, lambda found: found["progress"]["step"] > 2)
    line.freeze()
    waiting = impatient.launch("toy steady 3 0.02 5", pool="hoarse")
    wait_for("the report", lambda: impatient.report_of("hoarse").get("deaf"), 20)
    assert impatient.job(running)["state"] == "running"
    impatient.worker("hale", pool="hoarse")
    impatient.wait_for_state(waiting, "succeeded")
    assert deaf.wait(30) == START_AFRESH
    done = impatient.wait_for_state(running, "succeeded")
    assert done["attempt"] == 1


def test_a_permit_on_its_way_makes_nobody_deaf() -> None:
    now = [0.0]
    hearing = Hearing(lambda: True, lambda: now[0])
    for moment in (0.0, 5.0, 14.0):
        now[0] = moment
        hearing.expect(True, 15)
    hearing.permit_came()
    now[0] = 20.0
    hearing.expect(True, 15)
    now[0] = 34.0
    hearing.expect(True, 15)
    assert not hearing.deaf
    now[0] = 35.0
    hearing.expect(True, 15)
    assert hearing.deaf
    hearing.permit_came()
    assert not hearing.deaf


def test_a_broker_that_does_not_answer_makes_nobody_deaf() -> None:
    hearing = Hearing(lambda: answers("redis://127.0.0.1:9/0"), lambda: 100.0)
    hearing.expect(True, 0)
    assert not hearing.deaf


def test_a_worker_that_is_busy_or_has_nothing_to_do_expects_nothing() -> None:
    now = [0.0]
    hearing = Hearing(lambda: True, lambda: now[0])
    hearing.expect(True, 15)
    now[0] = 14.0
    hearing.expect(False, 15)
    now[0] = 20.0
    hearing.expect(True, 15)
    assert not hearing.deaf
