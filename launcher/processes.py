"""One child process, in a session of its own so that all it started can be ended; when it runs, others choose."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from launcher.folders import ROOT
from launcher.output import Output, Show


@dataclass(frozen=True)
class Program:
    """What is to run. Lower `stage` is ended first; `show` says which lines go to the terminal."""

    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    stage: int = 0
    restarts: bool = True
    show: Show = "trouble"


def spawn(command: list[str], environment: dict[str, str], stdout: int, stderr: int) -> subprocess.Popen[bytes]:
    """Starts a command that dies with us and leads its own process group."""
    shim = [sys.executable, "-S", "-m", "launcher.child", str(os.getpid()), *command]
    return subprocess.Popen(
        shim, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, start_new_session=True
    )


class Process:
    """One run of a program, from its start to the end of its whole group."""

    def __init__(self, program: Program, logs: Path) -> None:
        self.started_at = time.monotonic()
        self._popen = spawn(program.command, program.environment, subprocess.PIPE, subprocess.STDOUT)
        self.pid = self._popen.pid
        pipe = self._popen.stdout
        assert pipe is not None
        self.output = Output(program.name, pipe, logs, program.show)

    def exit_code(self) -> int | None:
        """None while it runs; negative for the signal that ended it."""
        return self._popen.poll()

    def signal(self, number: int) -> None:
        """Signals the whole group; that it is gone already is no error."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def bury(self, read_limit_seconds: float = 1.0) -> None:
        """Kills what is left of the group, also after its leader has ended, and reads its last lines."""
        self.signal(signal.SIGKILL)
        self._popen.wait()
        self.output.finish(read_limit_seconds)


class Guard:
    """The process that ends our groups when we are killed ourselves."""

    def __init__(self) -> None:
        self._popen = subprocess.Popen(
            [sys.executable, "-S", "-m", "launcher.guard"],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True, text=True,
        )  # fmt: skip
        assert self._popen.stdin is not None
        self.pid = self._popen.pid
        self._pipe: IO[str] = self._popen.stdin
        self.ours = {self.pid}
        """The children that we started ourselves and wait for ourselves."""

    def knows(self, group: int) -> None:
        """Names a group to be ended with us."""
        self.ours.add(group)
        self._tell(f"+{group}\n")

    def forgets(self, group: int) -> None:
        """Takes back a group that has ended: its number may come again elsewhere."""
        self.ours.discard(group)
        self._tell(f"-{group}\n")

    def leave(self) -> None:
        """Ends the guard; whatever it still knows is killed."""
        with suppress(BrokenPipeError):
            self._pipe.close()
        self._popen.wait()

    def _tell(self, line: str) -> None:
        with suppress(BrokenPipeError):
            self._pipe.write(line)
            self._pipe.flush()
