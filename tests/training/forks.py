"""Trainings in forked children of the test: real processes with their own death, without loading torch again."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate.state import AcceleratorState

from tests.training.conftest import Run
from workers.protocol import JobFolder
from workers.training import __main__ as training
from workers.training.events import Events
from workers.training.place import Place

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x20000, 0x10000000, 0x40000000
MS_RDONLY, MS_REMOUNT = 1, 32
BROKEN_TEST = 99
ALONE = Place()


def nothing() -> None:
    pass


@dataclass
class Child:
    """One training in a process of its own."""

    pid: int
    pipe: int
    place: Place

    def end(self) -> tuple[int, Run]:
        """(exit status, -N if signal N killed it; what it said)."""
        run = Run.from_pipe(self.pipe)
        _, status = os.waitpid(self.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        assert code != BROKEN_TEST
        return code, run


def start(
    job: JobFolder,
    before: Callable[[], None] = nothing,
    after: Callable[[], None] = nothing,
    stop: threading.Event | None = None,
    place: Place = ALONE,
) -> Child:
    """Train in a child; `before` runs there first, to break something, and `after` looks at what only it can see."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writer)
        return Child(pid, reader, place)
    code = BROKEN_TEST
    try:
        os.close(reader)
        AcceleratorState._reset_state(reset_partial_state=True)
        before()
        events = Events(writer)
        code = training._run(job, place, events, stop or threading.Event())
        events.close()
        after()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def train(job: JobFolder, before: Callable[[], None] = nothing, after: Callable[[], None] = nothing) -> tuple[int, Run]:
    return start(job, before, after).end()


def train_together(
    job: JobFolder, size: int = 2, stops: Sequence[threading.Event | None] = ()
) -> tuple[list[int], Run]:
    """Train in several processes, without a starter; their exit statuses and what the first one said."""
    rendezvous = job.path / f"rendezvous-{len(list(job.path.glob('rendezvous-*')))}"
    stops = [*stops, *([None] * (size - len(stops)))]
    children = [
        start(job, stop=stop, place=Place(rank, size, 2, rendezvous))
        for rank, stop in zip(range(size), stops, strict=True)
    ]
    ends = [child.end() for child in children]
    return [code for code, _ in ends], ends[0][1]


# ---- what a child may do to itself first ---------------------------------------------------------


def own_namespaces(flags: int = CLONE_NEWNS) -> None:
    """Mounts (and more) of this process alone. Raises OSError where the machine does not allow it."""
    uid, gid = os.getuid(), os.getgid()
    _call("unshare", CLONE_NEWUSER | flags)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")


def mount_tmpfs(folder: Path, options: str) -> None:
    own_namespaces()
    folder.mkdir(parents=True, exist_ok=True)
    _call("mount", b"tmpfs", os.fsencode(folder), b"tmpfs", 0, options.encode())


def make_read_only(folder: Path) -> None:
    _call("mount", b"tmpfs", os.fsencode(folder), b"tmpfs", MS_REMOUNT | MS_RDONLY, None)


def _call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def can_mount() -> bool:
    """Whether a child can have mounts of its own here."""
    pid = os.fork()
    if pid == 0:
        try:
            own_namespaces()
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(pid, 0)[1] == 0


assert torch.get_num_threads() == 1, "a forked child has no thread pool"
