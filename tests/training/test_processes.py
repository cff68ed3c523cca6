"""The training as its own process: a real pipe, SIGTERM, and a supervisor that dies."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import psutil
import pytest

from tests.training.conftest import MakeJob
from tests.training.test_together import on_gpus
from workers.protocol import EVENT_FD_VARIABLE, EXIT_FAILED, EXIT_FENCED, EXIT_STOPPED, LIFELINE_VARIABLE, JobFolder

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow
SECONDS = 240
"""Nothing beats here, so the lifeline must outlast the start on a busy machine."""


class Process:
    """One `python -m workers.training`, with its events on a pipe of their own and its stdin as lifeline."""

    def __init__(self, job: JobFolder) -> None:
        reader, writer = os.pipe()
        variables = {EVENT_FD_VARIABLE: str(writer), LIFELINE_VARIABLE: str(SECONDS), "OMP_NUM_THREADS": "1"}
        self.process: subprocess.Popen[bytes] = subprocess.Popen(
            [sys.executable, "-m", "workers.training", str(job.path)],
            cwd=ROOT,
            env={**os.environ, **variables},
            stdin=subprocess.PIPE,
            pass_fds=[writer],
        )
        os.close(writer)
        self.pipe: IO[bytes] = os.fdopen(reader, "rb")

    def events(self) -> Iterator[dict[str, Any]]:
        for line in self.pipe:
            yield json.loads(line)

    def until_step(self, step: int) -> int:
        """Reads up to that step or a later one, and says which."""
        steps = (int(event["step"]) for event in self.events() if event["kind"] == "metrics")
        return next(each for each in steps if each >= step)


@pytest.fixture
def start() -> Iterator[Any]:
    started: list[Process] = []

    def begin(job: JobFolder) -> Process:
        started.append(Process(job))
        return started[-1]

    yield begin
    for each in started:
        each.process.kill()
        each.process.wait()
        each.pipe.close()
        assert each.process.stdin is not None
        each.process.stdin.close()


def test_sigterm_finishes_the_step_and_leaves_a_checkpoint_of_it(classify: MakeJob, start: Any) -> None:
    job = classify(max_steps=100_000, epochs=1000, rows=4000, eval_every=100_000, save_every=100_000)
    process = start(job)
    seen = process.until_step(5)
    process.process.send_signal(signal.SIGTERM)
    rest = list(process.events())
    assert process.process.wait(SECONDS) == EXIT_STOPPED
    last = max([seen, *(event["step"] for event in rest if event["kind"] == "metrics")])
    assert [path.name for path in job.checkpoints.iterdir()] == [f"step-{last:08d}"]


def test_the_training_ends_at_once_when_its_supervisor_is_gone(classify: MakeJob, start: Any) -> None:
    job = classify(max_steps=100_000, epochs=1000, rows=4000, eval_every=100_000, save_every=100_000)
    process = start(job)
    process.until_step(2)
    process.process.stdin.close()
    assert process.process.wait(SECONDS) == EXIT_FENCED
    assert not list(job.checkpoints.iterdir())


@pytest.fixture
def pair(classify: MakeJob, start: Any) -> tuple[JobFolder, Process, list[psutil.Process]]:
    """A job that two processes train, and these two."""
    job = classify(max_steps=100_000, epochs=1000, rows=4000, eval_every=100_000, save_every=100_000)
    process = start(on_gpus(job))
    process.until_step(3)
    members = psutil.Process(process.process.pid).children()
    assert len(members) == 2
    return job, process, members


def test_sigterm_stops_all_processes_at_the_same_step(pair: Any) -> None:
    job, process, members = pair
    process.process.send_signal(signal.SIGTERM)
    rest = list(process.events())
    assert process.process.wait(SECONDS) == EXIT_STOPPED
    last = max([3, *(event["step"] for event in rest if event["kind"] == "metrics")])
    assert [path.name for path in job.checkpoints.iterdir()] == [f"step-{last:08d}"]
    assert not any(event["kind"] == "failed" for event in rest)
    assert psutil.wait_procs(members, timeout=5)[1] == []
    assert list(job.scratch.glob("processes-*")) == []


@pytest.mark.fault(2)
def test_one_process_killed_ends_all_within_seconds_and_the_same_way(pair: Any) -> None:
    _, process, members = pair
    members[1].kill()
    killed_at = time.monotonic()
    rest = list(process.events())
    assert process.process.wait(SECONDS) == -signal.SIGKILL
    assert time.monotonic() - killed_at < 10
    assert rest[-1]["text"] == "Process 2 of 2 was killed by SIGKILL (9); the others were ended with it."
    assert not any(event["kind"] == "failed" for event in rest)
    assert psutil.wait_procs(members, timeout=5)[1] == []


def test_without_a_supervisor_all_processes_end(pair: Any) -> None:
    _, process, members = pair
    process.process.stdin.close()
    assert process.process.wait(SECONDS) == EXIT_FENCED
    assert psutil.wait_procs(members, timeout=5)[1] == []


def test_without_their_starter_the_processes_end(pair: Any) -> None:
    _, process, members = pair
    process.process.kill()
    assert psutil.wait_procs(members, timeout=10)[1] == []


def test_a_broken_spec_ends_with_a_sentence(classify: MakeJob, start: Any) -> None:
    job = classify()
    spec = json.loads(job.spec.read_text())
    spec["training"]["batch_size"] = 0
    job.spec.write_text(json.dumps(spec))
    process = start(job)
    events = list(process.events())
    assert process.process.wait(SECONDS) == EXIT_FAILED
    assert (events[-1]["kind"], events[-1]["reason"]) == ("failed", "bad_config")
    assert "batch_size" in events[-1]["sentence"]


def test_a_reader_that_reads_nothing_for_five_seconds_holds_up_no_step(classify: MakeJob, start: Any) -> None:
    job = classify(max_steps=100_000, epochs=1000, rows=4000, eval_every=100_000, save_every=100_000)
    process = start(job)
    fcntl.fcntl(process.pipe, fcntl.F_SETPIPE_SZ, 4096)  # full after some ten events
    seen = process.until_step(5)
    deaf_from = time.time()
    time.sleep(5)
    heard_again = time.time()
    process.process.send_signal(signal.SIGTERM)
    rest = [event for event in process.events() if event["kind"] == "metrics"]
    assert process.process.wait(SECONDS) == EXIT_STOPPED
    meanwhile = [event for event in rest if deaf_from < event["time"] < heard_again]
    assert len(meanwhile) > 20
    assert [event["step"] for event in rest] == list(range(seen + 1, seen + 1 + len(rest)))
    waits = [after["time"] - before["time"] for before, after in pairwise(meanwhile)]
    assert max(waits) < 2.5
