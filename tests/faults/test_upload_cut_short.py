"""The worker dies while it hands in the delta artifact, at each part: nothing half is to be seen, nothing stays."""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.faults.chaos_proxy import ChaosProxy, Rule
from tests.faults.machines import Machines, wait_for

WEIGHTS = b"weights" * 1000
"""What the toy trainer saves, and the manifest it writes beside it."""
WEIGHTS_SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
MANIFEST = json.dumps({"files": [{"name": "weights.safetensors", "sha256": WEIGHTS_SHA256}]}).encode()
PARTS = {
    "first": f"PUT .*/files/{hashlib.sha256(MANIFEST).hexdigest()}",
    "last": f"PUT .*/files/{WEIGHTS_SHA256}",
    "list": "POST .*/artifacts",
}
WITHOUT_CHECKPOINT = "toy steady 5 0.05 100"


@pytest.mark.slow
@pytest.mark.fault(5)
@pytest.mark.parametrize(("at", "stored"), [("first", 0), ("last", 1), ("list", 2)])
def test_a_worker_that_dies_in_the_upload_leaves_nothing_to_be_seen(site: Machines, at: str, stored: int) -> None:
    with ChaosProxy(int(site.url.rsplit(":", 1)[1])) as way:
        way.add(Rule(PARTS[at], blackhole=True))
        worker = site.worker(f"cut-{at}", "--site", way.url, pool=f"cut-{at}")
        job = site.launch(WITHOUT_CHECKPOINT, pool=f"cut-{at}")
        wait_for("the upload is held", lambda: any(re.search(PARTS[at], line) for line in way.seen))
        assert site.job(job)["artifacts"] == []
        first = attempts_of(site, job)[0]
        assert len(parts_of(site, first)) == stored
        worker.kill()
        way.reset_all()  # what was held is lost with it; else a whole request could still arrive
        way.heal()
        assert site.job(job)["artifacts"] == []
        worker.start()
        ended = site.wait_for_state(job, "succeeded")
    assert ended["attempt"] == 2
    assert len(ended["artifacts"]) == 1
    artifact = ended["artifacts"][0]["id"]
    assert site.api("get", f"artifacts/{artifact}/files/weights.safetensors").content == WEIGHTS
    an_hour_later(site, first)
    wait_for("the parts are cleared", lambda: not parts_of(site, first) and not files_of(site, first))
    assert site.api("get", f"artifacts/{artifact}/files/manifest.json").content == MANIFEST


def query(site: Machines, words: str, *values: int) -> list[tuple[int]]:
    with closing(sqlite3.connect(site.folder / "var" / "deltaboard.sqlite3", timeout=20)) as database, database:
        return database.execute(words, values).fetchall()


def attempts_of(site: Machines, job: int) -> list[int]:
    return [row[0] for row in query(site, "SELECT id FROM jobs_attempt WHERE job_id = ? ORDER BY number", job)]


def parts_of(site: Machines, attempt: int) -> list[int]:
    return [row[0] for row in query(site, "SELECT id FROM jobs_storedpart WHERE attempt_id = ?", attempt)]


def files_of(site: Machines, attempt: int) -> list[Path]:
    return [path for path in (site.folder / "var" / "files").glob(f"*/attempts/{attempt}/*") if path.is_file()]


def an_hour_later(site: Machines, attempt: int) -> None:
    """Clearing leaves what is younger, since a slow request may still be on its way."""
    query(site, "UPDATE jobs_storedpart SET created_at = datetime('now', '-2 hours') WHERE attempt_id = ?", attempt)
