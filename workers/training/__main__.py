"""Trains the job in a folder: `python -m workers.training JOB_DIR`; events go to the supervisor, by hand to stdout."""

from __future__ import annotations

import faulthandler
import importlib
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from workers.protocol import EXIT_FAILED, EXIT_STOPPED, JobFolder
from workers.training import lifeline
from workers.training.events import Events, forward_warnings
from workers.training.failures import JobFailure, Stopped

USAGE = "Usage: python -m workers.training JOB_DIR (a folder with spec.json, rows.jsonl and base_model/)\n"
OFFLINE = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
"""A training reads its folder and nothing else."""


def main(arguments: list[str]) -> int:
    """The exit status: 0, EXIT_STOPPED, EXIT_FAILED."""
    if len(arguments) != 1 or not JobFolder(Path(arguments[0])).spec.is_file():
        sys.stderr.write(USAGE)
        return EXIT_FAILED
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    faulthandler.register(signal.SIGUSR1)
    lifeline.hold()
    os.environ.update(OFFLINE)
    events = Events.from_environment()
    try:
        return _run(JobFolder(Path(arguments[0]).resolve()), events, stop)
    finally:
        events.close()


def _run(job: JobFolder, events: Events, stop: threading.Event) -> int:
    try:
        _attempt(job, events, stop)
    except Stopped:
        events.log("Stopped as asked.")
        return EXIT_STOPPED
    except JobFailure as failure:
        return _failed(events, failure)
    return 0


def _attempt(job: JobFolder, events: Events, stop: threading.Event) -> None:
    events.emit("phase", phase="loading", step=0)
    # Loaded late: torch takes seconds, and the lifeline and the first event shall not wait for it.
    attempt: Any = importlib.import_module("workers.training.attempt")
    diagnosis: Any = importlib.import_module("workers.training.diagnosis")
    forward_warnings(events)
    try:
        attempt.Attempt(job, events, stop).run()
    except (Stopped, JobFailure):
        raise
    except Exception as error:
        raise diagnosis.of(error) from error


def _failed(events: Events, failure: JobFailure) -> int:
    if failure.reason == "trainer_error" and failure.__cause__ is not None:
        sys.excepthook(type(failure.__cause__), failure.__cause__, failure.__cause__.__traceback__)
    events.emit("failed", reason=failure.reason, sentence=failure.sentence, detail=failure.detail)
    return EXIT_FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
