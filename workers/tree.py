"""A training process tree: started behind this host's walls with a scrubbed environment, and ended for certain.

Knows nothing of jobs or the site. Start it from a thread that outlives it: the death signal follows that thread.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from workers import cgroups
from workers.handing_over import hand_over
from workers.isolation import Enclosed, Isolation
from workers.leftovers import kill_marked
from workers.protocol import ATTEMPT_VARIABLE, EVENT_FD_VARIABLE, LIFELINE_VARIABLE
from workers.walls.files import REPOSITORY

PASSED_ON = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "SYSTEMROOT", "CUDA_HOME")
"""All that a training process gets of the worker's own environment: no token, no key, no address."""
GONE_WITHIN_SECONDS = 5.0
POLL_SECONDS = 0.01
Command = Callable[[Path], tuple[str, ...]]
"""The command line for a job's or an inspection's folder."""
SHELL_SIGNALS = 128
"""A shell says 128 + N for a child that signal N killed."""


@dataclass(frozen=True)
class Launch:
    """What to start and where."""

    command: tuple[str, ...]
    scratch: Path
    """Home, temporary folder and working directory of the tree."""
    mark: str
    """Value of ATTEMPT_VARIABLE: the attempt's folder."""
    threads: int = 1
    cuda_device: str = ""
    """CUDA_VISIBLE_DEVICES; empty for none."""
    lifeline_seconds: float = 30.0
    writable: Path | None = None
    """The only folder that the tree may write; the scratch folder where none is named."""
    slot: int = 0
    """Where the host allows it, each slot's trees run as a user of their own."""
    several_processes: bool = False
    """They talk to each other over 127.0.0.1."""

    def enclosed(self, cgroups: tuple[str, ...]) -> Enclosed:
        return Enclosed(
            command=self.command,
            writable=self.writable or self.scratch,
            slot=self.slot,
            cuda=bool(self.cuda_device),
            several_processes=self.several_processes,
            cgroups=cgroups,
        )

    def environment(self) -> dict[str, str]:
        passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        scratch = str(self.scratch)
        return passed | {
            "HOME": scratch,
            "TMPDIR": scratch,
            "PYTHONPATH": str(REPOSITORY),
            "PYTHONUNBUFFERED": "1",
            "PYTHONFAULTHANDLER": "1",
            "HF_HUB_OFFLINE": "1",
            "TRANSFORMERS_OFFLINE": "1",
            "HF_HOME": f"{scratch}/huggingface",
            "TOKENIZERS_PARALLELISM": "false",
            "OMP_NUM_THREADS": str(self.threads),
            "OMP_WAIT_POLICY": "PASSIVE",  # waiting threads sleep: with another process busy, spinning ones cost 9x
            "MKL_NUM_THREADS": str(self.threads),
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
            "CUDA_VISIBLE_DEVICES": self.cuda_device,
            ATTEMPT_VARIABLE: self.mark,
            LIFELINE_VARIABLE: str(self.lifeline_seconds),
        }


def training_command(folder: Path) -> tuple[str, ...]:
    return (sys.executable, "-P", "-m", "workers.training", str(folder))


def inspection_command(folder: Path) -> tuple[str, ...]:
    return (sys.executable, "-P", "-m", "workers.training.inspection", str(folder))


class Tree:
    """One running tree. `events` and `output` are file descriptors to read; the reader closes them."""

    def __init__(self, launch: Launch, isolation: Isolation) -> None:
        self._launch, self._isolation = launch, isolation
        self._group = _group(isolation)
        enclosed = launch.enclosed(self._group.folders if self._group else ())
        hand_over(Path(launch.mark), enclosed.writable, isolation.user_of(launch.slot))
        self.events, event_writer = os.pipe()
        self.output, output_writer = os.pipe()
        try:
            self._process = subprocess.Popen(
                isolation.wrap(enclosed),
                cwd=launch.scratch,
                env=launch.environment() | {EVENT_FD_VARIABLE: str(event_writer)},
                stdin=subprocess.PIPE,
                stdout=output_writer,
                stderr=output_writer,
                pass_fds=(event_writer,),
                start_new_session=True,
            )
        except OSError:
            os.close(self.events)
            os.close(self.output)
            self._remove_group()
            raise
        finally:
            os.close(event_writer)
            os.close(output_writer)
        assert self._process.stdin is not None
        self._stdin = self._process.stdin
        os.set_blocking(self._stdin.fileno(), False)

    @property
    def returncode(self) -> int | None:
        """Exit code of the trainer, -N if signal N killed it, None while it runs."""
        code = self._process.returncode
        if code is not None and self._isolation.process_namespace and code > SHELL_SIGNALS:
            return SHELL_SIGNALS - code
        return code

    def wait(self, seconds: float) -> bool:
        """Wait for the trainer's end; True once it has ended. It is not buried yet: `kill` still needs its number."""
        until = time.monotonic() + seconds
        while not self._ended():
            if time.monotonic() > until:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def _ended(self) -> bool:
        if self._process.returncode is not None:
            return True
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def beat(self) -> None:
        """A line on stdin: the attempt is still ours."""
        with suppress(BlockingIOError, BrokenPipeError):
            os.write(self._stdin.fileno(), b"\n")

    def ask_to_stop(self) -> None:
        """SIGTERM to the trainer alone, so that it can save."""
        self._send(signal.SIGTERM)

    def dump_stacks(self) -> None:
        """Ask for the stacks of all threads in the log."""
        self._send(signal.SIGUSR1)

    def memory(self) -> cgroups.Memory | None:
        """What the tree's memory came to so far, where this host counts it."""
        return self._group.memory() if self._group else None

    def kill(self) -> None:
        """SIGKILL everything that the trainer ever started. Also after its own end, for what it left."""
        if self._process.returncode is None:  # once it is buried, its number may be another group's
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(GONE_WITHIN_SECONDS)
        kill_marked(lambda mark: mark == self._launch.mark)  # waits for a namespace that is still being taken down, too
        self._remove_group()
        with suppress(BrokenPipeError, BlockingIOError):
            self._stdin.close()

    def _remove_group(self) -> None:
        if self._group:
            self._group.kill()
            self._group.remove()

    def _send(self, number: signal.Signals) -> None:
        with suppress(psutil.NoSuchProcess, IndexError, ValueError):
            self._trainer().send_signal(number)

    def _trainer(self) -> psutil.Process:
        """The process of the command itself, behind the two that put up the walls."""
        outermost = psutil.Process(self._process.pid)
        if not self._isolation.process_namespace:
            return outermost
        first = outermost.children()[0]
        return min(first.children(), key=lambda process: process.create_time())


def _group(isolation: Isolation) -> cgroups.Group | None:
    if not (isolation.memory_limit or isolation.process_limit):
        return None
    parents = cgroups.parents()
    return cgroups.Group(isolation.limits, parents) if parents.memory or parents.pids else None
