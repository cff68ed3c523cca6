"""The training as its own process: a real pipe, SIGTERM, and a supervisor that dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from tests.training.conftest import MakeJob
from workers.protocol import EVENT_FD_VARIABLE, EXIT_FAILED, EXIT_FENCED, EXIT_STOPPED, LIFELINE_VARIABLE, JobFolder

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow
SECONDS = 60


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
        return next(event["step"] for event in self.events() if event["kind"] == "metrics" and event["step"] >= step)


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
