"""Processes whose parent crashed: on Linux they come to the supervisor, which ends them with everything else."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36


def adopt() -> None:
    """From now on a descendant whose parent ends becomes our child instead of init's."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def end_adopted(own: set[int]) -> None:
    """Kills every child of ours that is not in `own`, until none is left: each may leave children in turn."""
    while adopted := _children() - own:
        for pid in adopted:
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def bury_adopted(own: set[int]) -> None:
    """Takes note of the ends of adopted children, so that they do not stay in the process table until we end."""
    for pid in _children() - own:
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def _children() -> set[int]:
    """Our children's numbers; empty where the system does not say."""
    with suppress(OSError):
        lists = Path("/proc/self/task").glob("*/children")
        return {int(pid) for found in lists for pid in found.read_text().split()}
    return set()
