"""Trains the job in a folder: `python -m workers.training JOB_DIR`; events go to the supervisor, by hand to stdout."""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from workers.protocol import EXIT_FAILED, EXIT_STOPPED, JobFolder
from workers.training import lifeline, processes
from workers.training.events import Events, forward_warnings
from workers.training.failures import JobFailure, PeerLost, Stopped
from workers.training.place import Place

USAGE = "Usage: python -m workers.training JOB_DIR (a folder with spec.json, rows.jsonl and base_model/)\n"
OFFLINE = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
"""A training reads its folder and nothing else."""


def main(arguments: list[str]) -> int:
    """The exit status: 0, EXIT_STOPPED, EXIT_FAILED."""
    if len(arguments) != 1 or not JobFolder(Path(arguments[0])).spec.is_file():
        sys.stderr.write(USAGE)
        return EXIT_FAILED
    job, place = JobFolder(Path(arguments[0]).resolve()), Place.from_environment()
    if place.size == 1 and (size := processes.wanted(job)) > 1:
        lifeline.hold()
        return processes.run(job, size)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    faulthandler.register(signal.SIGUSR1)
    lifeline.hold()
    os.environ.update(OFFLINE)
    events = Events.from_environment() if place.rank == 0 else Events.unheard()
    try:
        return _run(job, place, events, stop)
    finally:
        events.close()


def _run(job: JobFolder, place: Place, events: Events, stop: threading.Event) -> int:
    try:
        _attempt(job, place, events, stop)
    except Stopped:
        events.log("Stopped as asked.")
        return EXIT_STOPPED
    except PeerLost as error:
        sys.stderr.write(f"Process {place.rank + 1} of {place.size} lost another one: {error}\n")
        return EXIT_FAILED
    except JobFailure as failure:
        return _failed(events, place, failure)
    return 0


def _attempt(job: JobFolder, place: Place, events: Events, stop: threading.Event) -> None:
    events.emit("phase", phase="loading", step=0)
    # Loaded late: torch takes seconds, and the lifeline and the first event shall not wait for it.
    attempt: Any = importlib.import_module("workers.training.attempt")
    diagnosis: Any = importlib.import_module("workers.training.diagnosis")
    forward_warnings(events)
    numbers: dict[str, Any] = {}
    try:
        attempt.Attempt(job, events, stop, place, numbers).run()
    except (Stopped, PeerLost):
        raise
    except JobFailure as failure:
        failure.detail = {**numbers, **failure.detail}
        raise
    except Exception as error:
        raise diagnosis.of(error, numbers) from error


def _failed(events: Events, place: Place, failure: JobFailure) -> int:
    if failure.reason == "trainer_error" and failure.__cause__ is not None:
        sys.excepthook(type(failure.__cause__), failure.__cause__, failure.__cause__.__traceback__)
    said = {"reason": failure.reason, "sentence": failure.sentence, "detail": failure.detail}
    if place.size == 1:
        events.emit("failed", **said)
    else:
        os.write(place.failure_fd, json.dumps(said, default=str).encode())
    return EXIT_FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
