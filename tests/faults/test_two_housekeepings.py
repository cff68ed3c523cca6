"""Two housekeeping processes: one sweeps, the other takes over when it is killed; without any the site says so."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.faults.machines import Machines, Part, machines, wait_for

NO_SWEEP_SECONDS = 4.0
"""Longer than a takeover takes, which is three sweeps of half a second."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Machines]:
    with machines(tmp_path / "site", {"no_sweep_seconds": NO_SWEEP_SECONDS}) as site:
        site.add("second", site.parts["housekeeping"].command).start()
        yield site


def holder(site: Machines) -> Part | None:
    """The process that holds the Sweep row now, if it is one that still lives."""
    with closing(sqlite3.connect(site.folder / "var" / "deltaboard.sqlite3", timeout=20)) as database:
        row = database.execute("SELECT holder FROM jobs_sweep").fetchone()
    pid = int(row[0].split(":")[1]) if row and row[0] else 0
    return next((part for part in keepers(site) if part.alive and part.pid == pid), None)


def keepers(site: Machines) -> list[Part]:
    return [site.parts["housekeeping"], site.parts["second"]]


def asked(site: Machines) -> httpx.Response:
    return httpx.get(f"{site.url}/api/v1/healthz", timeout=10)


@pytest.mark.slow
@pytest.mark.fault(56)
def test_the_second_takes_over_from_a_killed_one_and_without_any_the_site_is_red(site: Machines) -> None:
    first: Part = wait_for("one of them sweeps", lambda: holder(site))
    other = next(part for part in keepers(site) if part is not first)
    wait_for("the other has begun", lambda: "celery" in other.said())
    assert asked(site).status_code == 200
    assert other is not holder(site), "it stands by"
    first.kill()
    wait_for("the other sweeps", lambda: holder(site) is other)
    wait_for("the site is well", lambda: asked(site).status_code == 200, 10)
    other.end()
    said = wait_for("the site is red", lambda: answer if (answer := asked(site)).status_code == 503 else None)
    assert said.json()["status"] == "red"
    assert said.json()["sweep"]["state"] == "red"
    assert "is the housekeeping process running?" in said.json()["sweep"]["sentence"]
    other.start()
    wait_for("the site is well again", lambda: asked(site).status_code == 200)
