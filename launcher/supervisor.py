"""Keeps programs running and ends them all: restarts with back-off, stops in stages; which ones, the caller says."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from launcher import orphans
from launcher.processes import Guard, Process, Program, spawn

RESTART_AT_ONCE = 75
"""Exit code of a worker that asks for a fresh process."""
QUIET_AFTER = 3
"""A program that goes on failing is mentioned this often, then tried on in silence."""


class Stopped(Exception):
    """Somebody asked us to end: Ctrl-C, SIGTERM, or a closed terminal."""


@dataclass(frozen=True)
class Timing:
    """Seconds. The limits of the stages count from the beginning of the stop, and the last is its longest time."""

    turn: float = 0.1
    first_delay: float = 1.0
    longest_delay: float = 30.0
    steady: float = 60.0
    """A program that ran this long had started well: its next failure counts as the first."""
    stage_limits: tuple[float, ...] = (3.0, 8.0, 9.0)


@dataclass
class Watched:
    """A program and how it fares."""

    program: Program
    process: Process | None = None
    failures: int = 0
    start_again_at: float = 0.0
    last_line: str = ""


class Supervisor:
    """Used as a context: whatever happens inside, at its end nothing that was started is left."""

    def __init__(self, logs: Path, timing: Timing | None = None) -> None:
        self.logs = logs
        self.timing = timing or Timing()
        self.watched: dict[str, Watched] = {}
        self._wishes = 0
        self._guard: Guard

    def __enter__(self) -> Self:
        self.logs.mkdir(parents=True, exist_ok=True)
        orphans.adopt()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup keeps its meaning
                signal.signal(number, self._on_signal)
        self._guard = Guard()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._wishes += 1

    def start(self, program: Program) -> None:
        """Starts a program and watches it from now on."""
        self.watched[program.name] = Watched(program)
        self._launch(self.watched[program.name])

    def turn(self) -> None:
        """Waits a moment, then starts again what has ended. Raises Stopped when somebody wishes the end."""
        time.sleep(self.timing.turn)
        if self._wishes:
            raise Stopped
        for watched in list(self.watched.values()):
            self._look_after(watched)
        orphans.bury_adopted(self._guard.ours)

    def wait_until(self, condition: Callable[[], bool], limit_seconds: float) -> bool:
        """Goes on looking after everything until the condition holds; False when the time is over."""
        deadline = time.monotonic() + limit_seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            self.turn()
        return True

    def ask(self, command: list[str], environment: dict[str, str]) -> tuple[int, str, str]:
        """Runs a short command to its end beside the others: exit code, output and errors (both small)."""
        asked = spawn(command, environment, subprocess.PIPE, subprocess.PIPE)
        self._guard.knows(asked.pid)
        try:
            while True:
                try:
                    output, errors = asked.communicate(timeout=self.timing.turn)
                    return asked.returncode, output.decode(), errors.decode()
                except subprocess.TimeoutExpired:
                    self.turn()
        finally:
            if asked.poll() is None:
                os.killpg(asked.pid, signal.SIGKILL)
                asked.wait()
            self._guard.forgets(asked.pid)

    def _launch(self, watched: Watched) -> None:
        watched.process = Process(watched.program, self.logs)
        self._guard.knows(watched.process.pid)

    def _look_after(self, watched: Watched) -> None:
        if watched.process is not None and watched.process.exit_code() is not None:
            self._note_end(watched, watched.process)
        if watched.process is None and watched.program.restarts and time.monotonic() >= watched.start_again_at:
            self._launch(watched)

    def _note_end(self, watched: Watched, process: Process) -> None:
        """Ends what the process left behind and decides when it starts again."""
        code = process.exit_code()
        process.bury()
        self._guard.forgets(process.pid)
        watched.process, watched.last_line = None, process.output.last_line
        if not watched.program.restarts or code == RESTART_AT_ONCE:
            return
        lived = time.monotonic() - process.started_at
        watched.failures = 1 if lived >= self.timing.steady else watched.failures + 1
        delay = min(self.timing.first_delay * 2 ** (watched.failures - 1), self.timing.longest_delay)
        watched.start_again_at = time.monotonic() + delay
        if watched.failures <= QUIET_AFTER:
            print(_sentence(watched.program.name, code, delay, process), flush=True)

    def stop(self) -> None:
        """Ends every program, stage by stage; a second wish to end leaves them no time."""
        begun, wishes = time.monotonic(), max(self._wishes, 1)
        stages = sorted({watched.program.stage for watched in self.watched.values()})
        for stage in stages:
            limit = self.timing.stage_limits[stage]
            running = [w.process for w in self.watched.values() if w.process and w.program.stage == stage]
            for process in running:
                process.signal(signal.SIGTERM)
            while any(process.exit_code() is None for process in running):
                if time.monotonic() > begun + limit or self._wishes > wishes:
                    break
                time.sleep(0.02)
            for process in running:
                process.bury(read_limit_seconds=0.1)
        orphans.end_adopted(own={self._guard.pid})
        self._guard.leave()


def _sentence(name: str, code: int | None, delay: float, process: Process) -> str:
    how = f"was ended by signal {-code}" if code is not None and code < 0 else f"ended with code {code}"
    last = f" Its last line: {process.output.last_line}" if process.output.last_line else ""
    return f"{name} {how}; starting it again in {delay:.0f} s. Its log: {process.output.path}.{last}"
