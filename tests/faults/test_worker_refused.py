"""A worker that may not work is told why in one sentence, and those that do work notice nothing of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.faults.machines import Machines, Part, wait_for

pytestmark = pytest.mark.slow
CANNOT_START = 2


def refused(part: Part) -> str:
    """The one sentence with which it ended."""
    assert part.wait(30) == CANNOT_START
    assert "Traceback" not in part.said()
    return part.said().strip().splitlines()[-1]


def copy_of(site: Machines, worker: str, var: Path) -> Part:
    """The same worker started a second time, from a copy of its folder with the token in it."""
    shutil.copytree(site.home(worker), var / "workers" / worker, ignore=shutil.ignore_patterns("jobs", "cache"))
    first = site.parts[worker]
    part = site.add("copy", first.command, first.environment | {"DELTABOARD_VAR": str(var)})
    part.start()
    return part


@pytest.mark.fault(55)
def test_a_token_that_is_in_use_does_not_work_twice(site: Machines, tmp_path: Path) -> None:
    first = site.worker("twin", pool="twins")
    job = site.launch("toy steady 60 0.05 5", pool="twins")
    site.wait_for_job(job, lambda found: found["progress"]["step"] > 2)
    assert "Worker twin is running on" in refused(copy_of(site, "twin", tmp_path / "elsewhere"))
    site.parts["again"] = again = Part("again", first.command, first.environment, site.folder / "again.log")
    again.start()
    assert refused(again).startswith("Worker twin already runs on this machine.")
    done = site.wait_for_state(job, "succeeded")
    assert (done["attempt"], first.alive) == (1, True)


@pytest.mark.fault(55)
def test_a_token_moves_once_its_first_holder_is_silent(site: Machines, tmp_path: Path) -> None:
    first = site.worker("mover", pool="movers")
    wait_for("its first hello", lambda: "waits for jobs" in first.said())
    first.kill()
    second = copy_of(site, "mover", tmp_path / "elsewhere")

    def is_let_in() -> bool:
        if second.wait_or_none(5) is None:
            return True
        second.start()  # it came while the first still counted as online
        return False

    wait_for("the copy is let in", is_let_in)
    job = site.launch("toy steady 5 0.02 5", pool="movers")
    site.wait_for_state(job, "succeeded")


@pytest.mark.fault(54)
def test_a_wrong_token_is_named(site: Machines) -> None:
    worker = site.worker("forger", pool="forgers")
    wait_for("its first hello", lambda: "waits for jobs" in worker.said())
    worker.kill()
    file = site.home("forger") / "token.json"
    saved = json.loads(file.read_text())
    saved["enrolment"]["token"] = saved["enrolment"]["token"][:-4] + "xxxx"
    file.write_text(json.dumps(saved))
    worker.environment.pop("DELTABOARD_WORKER_KEY")
    worker.start()
    said = refused(worker)
    assert "does not know this worker's token. Make a new worker key" in said


@pytest.mark.fault(54)
@pytest.mark.parametrize("option", [("--slots", "0"), ("--label", "RTX 4090")])
def test_a_wrong_option_is_named(site: Machines, option: tuple[str, str]) -> None:
    worker = site.worker("wrong", *option, pool="wrong")
    assert option[1] in refused(worker)
