"""A worker that is told to end is gone within seconds of its last attempt, also if its broker says nothing more."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest

from tests.faults.frozen_line import FrozenLine, line_to
from tests.faults.machines import Machines, Part, marked, wait_for

pytestmark = pytest.mark.slow
GONE_WITHIN = 12.0


@pytest.fixture
def line(site: Machines) -> Iterator[FrozenLine]:
    with line_to(site.broker.port) as line:
        yield line


def behind(line: FrozenLine, site: Machines, name: str) -> Part:
    url = site.broker.url.replace(f":{site.broker.port}/", f":{line.port}/")
    worker = site.worker(name, pool=name, REDIS_URL=url)
    wait_for("its start", lambda: "waits for jobs" in worker.said())
    first = site.launch("toy steady 3 0.02 5", pool=name)
    site.wait_for_state(first, "succeeded")  # the line works so far
    return worker


@pytest.mark.fault(7)
def test_an_idle_worker_leaves_though_its_broker_says_nothing(site: Machines, line: FrozenLine) -> None:
    worker = behind(line, site, "unheard")
    line.freeze()
    worker.signal(signal.SIGTERM)
    told_at = time.monotonic()
    assert worker.wait(60) == 0
    assert time.monotonic() - told_at < GONE_WITHIN


@pytest.mark.fault(7)
def test_a_busy_worker_hands_over_and_leaves_though_its_broker_says_nothing(site: Machines, line: FrozenLine) -> None:
    worker = behind(line, site, "hindered")
    job = site.launch("toy steady 200 0.1 500", pool="hindered")
    site.wait_for_job(job, lambda found: found["progress"]["step"] > 3)
    line.freeze()
    worker.signal(signal.SIGTERM)
    site.wait_for_job(job, lambda found: found["state"] == "queued")
    handed_over_at = time.monotonic()
    assert worker.wait(60) == 0
    assert time.monotonic() - handed_over_at < GONE_WITHIN
    assert site.job(job)["reason"]["code"] == "drained"
    assert marked(site.home("hindered")) == []
    site.act(job, "cancel")
