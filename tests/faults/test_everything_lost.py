"""Everything is killed at once and started from a copy of its folder; or only a backup, taken under load, is left."""

from __future__ import annotations

import random
import shutil
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import psutil
import pytest

from tests.nemesis.checker import INVARIANTS, broken
from tests.nemesis.evidence import Evidence, Order
from tests.nemesis.faults import Nemesis
from tests.nemesis.journal import Journal
from tests.nemesis.running import evidence_of
from tests.nemesis.site import ENDS, Site, running_site, until

pytestmark = pytest.mark.slow
STEPS = 400
"""Of 20 ms each, so that all of it is under way when it breaks."""
DATABASE = "deltaboard.sqlite3"
SHORT = {"max_steps": 20}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with running_site(tmp_path / "site", people=1, workers=2) as site:
        for _ in range(2):
            site.add_worker().start()
        yield site


def under_load(site: Site) -> list[int]:
    """Two jobs that train and are far from their end, and three that wait; all of them are written down."""
    trained = [submit(site, {"max_steps": STEPS}) for _ in range(2)]
    waiting = [submit(site, SHORT) for _ in range(3)]
    until("both are on their way", lambda: all(on_its_way(how_far(site)[job]) for job in trained), 30)
    return [*trained, *waiting]


def how_far(site: Site) -> dict[int, tuple[str, int]]:
    return {job["id"]: (job["state"], job["progress"]["step"]) for job in site.jobs()}


def on_its_way(seen: tuple[str, int]) -> bool:
    return seen[0] == "running" and seen[1] >= 10


def submit(site: Site, training: dict[str, int]) -> int:
    job = site.submit(training=training)
    Journal(site.journals, "person").note("submit", True, job=job, status=201)
    return job


def evidence_after_the_end(site: Site, jobs: list[int], orders: list[Order]) -> Evidence:
    for job in jobs:
        site.wait_for_state(job, *ENDS, seconds=40)
    until("no process of an attempt lives", lambda: not site.marked(), 15)
    return evidence_of(site, Nemesis(site, random.Random(0), [], orders))


@pytest.mark.fault(58)
def test_a_power_loss_loses_nothing_that_was_accepted(site: Site) -> None:
    jobs = under_load(site)
    before = site.queue()
    power_loss(site)
    start_from_a_copy(site)
    for daemon in (site.valkey, site.web, site.housekeeping):
        daemon.start()
    until("the site is whole again", site.whole, 60)
    order = Order("power loss", tuple(before), tuple(site.queue()))
    for worker in site.workers:
        worker.start()
    evidence = evidence_after_the_end(site, jobs, [order])
    assert broken(evidence) == {name: [] for name in INVARIANTS}
    assert {job.state for job in evidence.jobs} == {"succeeded"}
    assert set(before) <= set(order.after), "what waited still waits"
    assert "worker_lost" in {attempt.reason_code for attempt in evidence.attempts}


def power_loss(site: Site) -> None:
    everything = (*site.workers, site.housekeeping, site.web, site.valkey)
    trainings = site.marked()
    for daemon in everything:
        daemon.signal(signal.SIGKILL)
    for process in trainings:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    for daemon in everything:
        daemon.bury()


def start_from_a_copy(site: Site) -> None:
    lost = site.var.with_name("lost")
    site.var.rename(lost)
    shutil.copytree(lost, site.var)


@pytest.mark.fault(57)
def test_a_backup_taken_under_load_goes_on_elsewhere(site: Site, tmp_path: Path) -> None:
    """The old machine is lost with all it did after the backup; the workers live on and still train for it."""
    jobs = under_load(site)
    back_up(site.var, tmp_path / "elsewhere")
    seen = how_far(site)
    until("the lost site went on", lambda: how_far(site) != seen)
    for daemon in (site.housekeeping, site.web, site.valkey):
        daemon.bury()
    site.environment["DELTABOARD_VAR"] = str(tmp_path / "elsewhere")
    said = site.run("manage.py", "restored")
    ended = [int(line.split()[1].strip(":")) for line in said.splitlines() if line.endswith(": queued")]
    assert ended, said
    restored_at = time.monotonic()
    for daemon in (site.valkey, site.web, site.housekeeping):
        daemon.start()
    until("the site is whole again", site.whole, 60)
    evidence = evidence_after_the_end(site, jobs, [])
    evidence.journal = [each for each in evidence.journal if each.op == "submit" or each.t_sent > restored_at]
    assert {name: broken(evidence)[name] for name in "abcdef"} == {name: [] for name in "abcdef"}
    assert {job.state for job in evidence.jobs} == {"succeeded"}
    for job in ended:
        reasons = site.reasons(job)
        assert "site_restored" in reasons
        assert "worker_lost" not in reasons


def back_up(var: Path, to: Path) -> None:
    """As `manage.py restored` describes it: first the database, then the files, then the keys."""
    to.mkdir()
    with closing(sqlite3.connect(var / DATABASE)) as source, closing(sqlite3.connect(to / DATABASE)) as target:
        source.backup(target)
    shutil.copytree(var / "files", to / "files", copy_function=copy_if_there)
    shutil.copy(var / "encryption_key", to)


def copy_if_there(source: str, target: str) -> None:
    """A file that is just being written has a temporary name, which may be gone at once."""
    with suppress(FileNotFoundError):
        shutil.copy2(source, target)
