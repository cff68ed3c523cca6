"""PostgreSQL is shut down at once under a working site: everybody waits or hears 503, then all of it goes on."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest
from psycopg_pool import ConnectionPool

from launcher import postgres
from tests.faults.machines import Machines, machines, wait_for
from webapp.settings import database_pool

AWAY_SECONDS = 2.0
LEASE_SECONDS = 30.0
"""As in earnest: a request may wait ten seconds for a connection, and that must end no attempt."""


@pytest.fixture
def server() -> Iterator[postgres.Server]:
    try:
        with postgres.running(max_connections="20") as server:
            yield server
    except postgres.NoServer as problem:
        pytest.skip(str(problem))


@contextmanager
def people_at(site: Machines, job: int) -> Iterator[Counter[int | str]]:
    """Three of them look at a job and at the queue again and again; how often each status was answered."""
    seen: Counter[int | str] = Counter()
    over = threading.Event()

    def look(path: str) -> None:
        while not over.is_set():
            try:
                seen[site.api("get", path).status_code] += 1
            except httpx.HTTPError as error:
                seen[type(error).__name__] += 1
            over.wait(0.1)

    people = [threading.Thread(target=look, args=(path,)) for path in (f"jobs/{job}", "jobs", "workers")]
    for person in people:
        person.start()
    try:
        yield seen
    finally:
        over.set()
        for person in people:
            person.join(35)


def well(site: Machines) -> bool:
    """The health call sees the database and a sweep made after the restart."""
    answer = httpx.get(f"{site.url}/api/v1/healthz", timeout=15)
    return answer.status_code == 200 and answer.json()["sweep_age_seconds"] < AWAY_SECONDS


@pytest.mark.slow
@pytest.mark.fault(23)
def test_a_site_whose_postgresql_is_restarted_at_once_goes_on(tmp_path: Path, server: postgres.Server) -> None:
    timings = {"lease_seconds": LEASE_SECONDS}
    with machines(tmp_path / "site", timings, DATABASE_URL=server.url) as site:
        site.worker("one")
        job = site.launch("toy steady")
        site.wait_for_state(job, "running")
        with people_at(site, job) as seen:
            wait_for("people are served", lambda: seen[200] > 3)
            server.stop()
            time.sleep(AWAY_SECONDS)  # the length of the fault itself
            server.start()
            wait_for("database and sweep are well", lambda: well(site), 15)
            second = site.launch("toy steady")
            site.wait_for_state(job, "succeeded")
            site.wait_for_state(second, "succeeded")
        assert set(seen) <= {200, 503}, seen
        ways = [("", "queued", ""), ("queued", "starting", ""), ("starting", "running", "")]
        ways.append(("running", "succeeded", "finished"))
        assert [site.history(job), site.history(second)] == [ways, ways], site.logs()


@pytest.mark.slow
@pytest.mark.fault(23)
def test_connections_are_back_a_moment_after_a_long_absence(server: postgres.Server) -> None:
    """With the pool's own pause, which doubles without end, this takes as long again as the absence was."""
    options = {**database_pool(), "timeout": 0.5}
    with ConnectionPool(server.url, **options) as pool:
        pool.wait()
        server.stop()
        until = time.monotonic() + 8
        while time.monotonic() < until:
            assert not answers(pool)
        server.start()
        back = time.monotonic()
        wait_for("a connection", lambda: answers(pool))
        assert time.monotonic() - back < 4


def answers(pool: ConnectionPool) -> bool:
    try:
        with pool.connection() as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)
    except psycopg.OperationalError:
        return False
