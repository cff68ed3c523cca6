"""A control group for one tree: the kernel counts the memory and processes of all of it together, and stops it there.

Both layouts of Linux: version 2 where systemd or the container handed a part of the hierarchy to the worker (run it
with `Delegate=yes` and `DelegateSubgroup=worker`), and version 1 where the worker may write there.
"""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import psutil

from workers.limits import Limits

ROOT = Path("/sys/fs/cgroup")
GONE_WITHIN_SECONDS = 5.0
WANTED = ("memory", "pids")


@dataclass(frozen=True)
class Parents:
    """Where groups can be made on this host: a folder for each of the two controllers; the same one in version 2."""

    memory: Path | None = None
    pids: Path | None = None
    version: int = 0


class Memory(NamedTuple):
    """What a group's memory came to."""

    kills: int
    """Processes of it that the kernel killed for want of memory."""
    numbers: dict[str, int]
    """Limit and peak in bytes, where the kernel says them."""


class Group:
    """The group of one tree, made empty. Raises OSError where it cannot be made."""

    def __init__(self, limits: Limits, parents: Parents) -> None:
        name = f"deltaboard-{os.getpid()}-{uuid.uuid4().hex[:12]}"
        self._memory = parents.memory / name if parents.memory and limits.memory_bytes else None
        self._limit_bytes = limits.memory_bytes
        self.folders = tuple(sorted({str(parent / name) for parent in (parents.memory, parents.pids) if parent}))
        try:
            for folder in self.folders:
                Path(folder).mkdir()
            if parents.memory and limits.memory_bytes:
                _limit_memory(parents.memory / name, limits.memory_bytes, parents.version)
            if parents.pids and limits.processes:
                (parents.pids / name / "pids.max").write_text(str(limits.processes))
        except OSError:
            self.remove()
            raise

    def memory(self) -> Memory | None:
        """Of all that ever ran in it; None where its memory is not limited."""
        if self._memory is None:
            return None
        kills = _count(self._memory, "oom_kill", "memory.events", "memory.oom_control")
        peak = _first_number(self._memory, "memory.peak", "memory.max_usage_in_bytes")
        numbers = {"memory_limit_bytes": self._limit_bytes, "peak_memory_bytes": peak}
        return Memory(kills, {name: value for name, value in numbers.items() if value})

    def kill(self) -> None:
        """SIGKILL every process in it, until none is left."""
        until = time.monotonic() + GONE_WITHIN_SECONDS
        while (found := set(self._processes())) and time.monotonic() < until:
            for process in found:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            time.sleep(0.01)

    def remove(self) -> None:
        """Once it is empty; the kernel needs a moment after the last process."""
        until = time.monotonic() + GONE_WITHIN_SECONDS
        for folder in self.folders:
            while Path(folder).exists() and time.monotonic() < until:
                with suppress(OSError):
                    Path(folder).rmdir()
                    break
                time.sleep(0.01)

    def _processes(self) -> Iterator[int]:
        for folder in self.folders:
            with suppress(OSError):
                yield from map(int, Path(folder, "cgroup.procs").read_text().split())


def _limit_memory(folder: Path, most: int, version: int) -> None:
    if version == 2:
        (folder / "memory.max").write_text(str(most))
        _write_if_there(folder / "memory.swap.max", 0)
        _write_if_there(folder / "memory.oom.group", 1)
        return
    (folder / "memory.limit_in_bytes").write_text(str(most))
    _write_if_there(folder / "memory.memsw.limit_in_bytes", most)


def _first_number(folder: Path, *names: str) -> int:
    """From the first of these files that is there, 0 without: each version has its own name."""
    for name in names:
        with suppress(OSError, ValueError):
            return int((folder / name).read_text())
    return 0


def _count(folder: Path, wanted: str, *names: str) -> int:
    """The number behind a word in the first of these files that has it."""
    for name in names:
        with suppress(OSError):
            for line in (folder / name).read_text().splitlines():
                word, _, number = line.partition(" ")
                if word == wanted:
                    return int(number)
    return 0


def _write_if_there(path: Path, value: int) -> None:
    """Files that depend on how the kernel was built: swap counting, mostly."""
    if path.exists():
        with suppress(OSError):
            path.write_text(str(value))


def sweep() -> None:
    """Remove the empty groups that killed workers left, and no other: one is empty until its first process joins."""
    for parent in {parents().memory, parents().pids} - {None}:
        for folder in Path(str(parent)).glob("deltaboard-*"):
            if not _has_an_owner(folder.name):
                with suppress(OSError):
                    folder.rmdir()


def _has_an_owner(name: str) -> bool:
    """Whether the worker whose number stands in the name may still be about to use it."""
    number = next((int(word) for word in name.split("-")[1:3] if word.isdigit()), 0)
    return number != os.getpid() and psutil.pid_exists(number)


@cache
def parents() -> Parents:
    """Tried out once: a group is made and removed."""
    try:
        own = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return Parents()
    paths = {controller: path for line in own for controller, path in _controllers(line)}
    return _version_2(paths.get("", "/")) if (ROOT / "cgroup.controllers").exists() else _version_1(paths)


def _controllers(line: str) -> list[tuple[str, str]]:
    """`4:memory:/path` as controller and path; version 2 names no controller."""
    _, names, path = line.split(":", 2)
    return [(name, path) for name in names.split(",")]


def _version_1(paths: dict[str, str]) -> Parents:
    found = {name: _writable(ROOT / name / paths.get(name, "/").lstrip("/")) for name in WANTED}
    return Parents(found["memory"], found["pids"], 1)


def _version_2(path: str) -> Parents:
    """A group with processes cannot hand controllers on, so the worker's parent group comes first."""
    own = ROOT / path.lstrip("/")
    for parent in (own.parent, own) if own != ROOT else (own,):
        with suppress(OSError):
            on = set((parent / "cgroup.subtree_control").read_text().split())
            if not set(WANTED) <= on:
                (parent / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in WANTED))
            if _writable(parent):
                return Parents(parent, parent, 2)
    return Parents()


def _writable(parent: Path) -> Path | None:
    try:
        tried = parent / f"deltaboard-try-{os.getpid()}"
        tried.mkdir()
        tried.rmdir()
    except OSError:
        return None
    return parent
