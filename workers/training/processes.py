"""Trains one job in several processes of one machine: starts them, passes signals on, and ends as they end.

Trains nothing itself and needs no torch. Not torchrun: that gives its processes 30 s after a SIGTERM, whatever they
still have to save, turns their exits and deaths into a traceback and a 1, closes inherited descriptors and keeps stdin.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from workers.protocol import EVENT_FD_VARIABLE, EXIT_FAILED, EXIT_STOPPED, LIFELINE_VARIABLE, JobFolder
from workers.training.events import Events
from workers.training.place import VARIABLE, Place

POLL_SECONDS = 0.05
BEAT_SECONDS = 1.0
LIFELINE_SECONDS = "30"
"""By hand, too, no process outlives its starter."""
LAST_WORDS_SECONDS = 2.0
"""Once one has died, the others may say for so long what they died of; who waits for a dead process never returns."""
LOOPBACK = {"linux": "lo", "darwin": "lo0"}
MAX_FAILURE_BYTES = 64 * 1024


def wanted(job: JobFolder) -> int:
    """How many processes the spec asks for; 1 if it cannot be read, since the training itself says what is wrong."""
    try:
        gpus = json.loads(job.spec.read_text(encoding="utf-8")).get("gpus", 1)
    except (OSError, ValueError, AttributeError):
        return 1
    return gpus if type(gpus) is int else 1


class Member:
    """One process of the training: this very command once more, with its place in the environment."""

    def __init__(self, place: Place, events_fd: int) -> None:
        self.rank = place.rank
        self._failure, failure_writer = os.pipe()
        place = Place(place.rank, place.size, failure_writer, place.rendezvous)
        passed = [failure_writer] + ([events_fd] if place.rank == 0 else [])
        try:
            self.process = subprocess.Popen(
                [sys.executable, *sys.orig_argv[1:]],
                env=_environment(place),
                stdin=subprocess.PIPE,
                pass_fds=passed,
            )
        finally:
            os.close(failure_writer)
        assert self.process.stdin is not None
        self._stdin = self.process.stdin.fileno()
        os.set_blocking(self._stdin, False)

    def beat(self) -> None:
        with suppress(BlockingIOError, BrokenPipeError):
            os.write(self._stdin, b"\n")

    def failure(self) -> dict[str, Any] | None:
        """What it said of its end, once it has ended: short enough for the pipe to hold it."""
        os.set_blocking(self._failure, False)
        with suppress(BlockingIOError, ValueError):
            said: dict[str, Any] = json.loads(os.read(self._failure, MAX_FAILURE_BYTES))
            return said
        return None


class Group:
    """All processes of one training."""

    def __init__(self) -> None:
        self._stopping = False
        self._members: list[Member] = []
        self._fallen: list[Member] = []
        self._beat_at = 0.0

    def start(self, size: int, folder: Path, events_fd: int) -> None:
        for rank in range(size):
            self._members.append(Member(Place(rank, size, -1, folder / "rendezvous"), events_fd))
        if self._stopping:  # asked meanwhile
            self.pass_on(signal.SIGTERM)

    def pass_on(self, number: int) -> None:
        self._stopping = self._stopping or number == signal.SIGTERM
        for each in self._members:
            with suppress(ProcessLookupError):
                each.process.send_signal(number)

    def wait(self) -> None:
        """Until all have ended; soon after one has fallen, the rest is made to."""
        deadline = float("inf")
        while running := [each for each in self._members if each.process.poll() is None]:
            self._note_the_fallen()
            if self._fallen and deadline == float("inf"):
                deadline = time.monotonic() + LAST_WORDS_SECONDS
            if time.monotonic() >= deadline:
                for each in running:
                    each.process.kill()
                break
            self._beat()
            time.sleep(POLL_SECONDS)
        self._note_the_fallen()
        for each in self._members:
            each.process.wait()

    def end(self, events: Events) -> int:
        """The exit status for all, after the one failure that was the cause has been said."""
        failures = [said for each in self._members if (said := each.failure())]
        if failures:
            events.emit("failed", **failures[0])
            return EXIT_FAILED
        if self._fallen:
            return self._like_the_fallen(events)
        return EXIT_STOPPED if any(each.process.returncode for each in self._members) else 0

    def _like_the_fallen(self, events: Events) -> int:
        # One that lost its peer fails without a word of its own: whoever was killed is the cause.
        cause = min(self._fallen, key=lambda each: each.process.returncode == EXIT_FAILED)
        code: int = cause.process.returncode
        if self._stopping and code == -signal.SIGTERM:
            return EXIT_STOPPED  # it was asked before it could listen
        how = f"was killed by {signal.Signals(-code).name} ({-code})" if code < 0 else f"ended with exit code {code}"
        count = len(self._members)
        events.log(f"Process {cause.rank + 1} of {count} {how}; the others were ended with it.", "error")
        return code

    def _note_the_fallen(self) -> None:
        for each in self._members:
            if each.process.poll() not in (None, 0, EXIT_STOPPED) and each not in self._fallen:
                self._fallen.append(each)

    def _beat(self) -> None:
        if time.monotonic() - self._beat_at >= BEAT_SECONDS:
            self._beat_at = time.monotonic()
            for each in self._members:
                each.beat()


def run(job: JobFolder, size: int) -> int:
    """Train in `size` processes; the exit status, or the same death as the one that died."""
    job.scratch.mkdir(parents=True, exist_ok=True)
    events_fd = int(os.environ.get(EVENT_FD_VARIABLE, "1"))
    with tempfile.TemporaryDirectory(prefix="processes-", dir=job.scratch) as folder:
        group = Group()
        for number in (signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, lambda number, _: group.pass_on(number))
        group.start(size, Path(folder), events_fd)
        group.wait()
    # Only now: until here the pipe was the first process's alone.
    events = Events(events_fd)
    try:
        code = group.end(events)
    finally:
        events.close()
    if code < 0:
        faulthandler.disable()
        if code != -signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


def _environment(place: Place) -> dict[str, str]:
    together = int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)
    threads = str(max(1, together // place.size))
    interface = LOOPBACK.get(sys.platform)
    names = {"GLOO_SOCKET_IFNAME": interface, "NCCL_SOCKET_IFNAME": interface} if interface else {}
    return {
        LIFELINE_VARIABLE: LIFELINE_SECONDS,
        **os.environ,
        **names,
        VARIABLE: place.as_text(),
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
    }
