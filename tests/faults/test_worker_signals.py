"""A worker that is told a second time to end does not wait for anybody."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest

from tests.faults.machines import Machines, marked, wait_for

pytestmark = pytest.mark.slow
TERM, INT, QUIT = signal.SIGTERM, signal.SIGINT, signal.SIGQUIT


@pytest.mark.fault(9)
@pytest.mark.parametrize("signals", [(TERM, TERM), (TERM, INT), (INT, INT), (TERM, QUIT), (QUIT,)], ids=str)
def test_the_second_signal_stops_hard(site: Machines, signals: tuple[signal.Signals, ...]) -> None:
    pool = "-".join(str(int(number)) for number in signals)
    worker = site.worker(f"hurried-{pool}", pool=pool)
    job = site.launch("toy stubborn", pool=pool)
    site.wait_for_job(job, lambda found: found["state"] == "running" and found["progress"]["step"] > 0)
    for number in signals:
        told_at = time.monotonic()
        worker.signal(number)
        time.sleep(0.3)
    worker.wait(10)
    assert time.monotonic() - told_at < 5
    assert "Traceback" not in worker.said()
    assert marked(site.home(worker.name)) == []
    found = site.wait_for_job(job, lambda found: found["state"] == "queued", 10)
    assert found["reason"]["code"] in ("drained", "worker_lost")


@pytest.fixture
def no_nohup() -> Iterator[None]:
    """A worker that is started with SIGHUP ignored goes on ignoring it, however these tests themselves were started."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.fault(7)
@pytest.mark.usefixtures("no_nohup")
@pytest.mark.parametrize("number", [INT, signal.SIGHUP])
def test_ctrl_c_and_a_closed_terminal_drain_as_sigterm_does(site: Machines, number: signal.Signals) -> None:
    pool = f"drained-{int(number)}"
    worker = site.worker(pool, pool=pool)
    job = site.launch("toy steady 200 0.1 500", pool=pool)
    site.wait_for_job(job, lambda found: found["progress"]["step"] > 3)
    worker.signal(number)
    assert worker.wait() == 0
    assert "Traceback" not in worker.said()
    found = site.job(job)
    assert (found["state"], found["reason"]["code"]) == ("queued", "drained")
    assert [change[2] for change in site.history(job)][-1] == "drained"


@pytest.mark.fault(9)
def test_the_hard_stop_waits_for_no_site_either(site: Machines) -> None:
    """The site takes the connection and never answers."""
    worker = site.worker("cut", pool="cut")
    job = site.launch("toy stubborn", pool="cut")
    site.wait_for_job(job, lambda found: found["state"] == "running" and found["progress"]["step"] > 0)
    site.parts["web"].signal(signal.SIGSTOP)
    try:
        worker.signal(TERM)
        time.sleep(0.5)
        worker.signal(TERM)
        told_at = time.monotonic()
        worker.wait(10)
        assert time.monotonic() - told_at < 5
        assert marked(site.home("cut")) == []
    finally:
        site.parts["web"].signal(signal.SIGCONT)
    wait_for("the lease to run out", lambda: site.job(job)["state"] == "queued", 15)
