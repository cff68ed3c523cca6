"""Gives up, in the checker's own process, what reading a file does not need; says which layers this host has."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

from webapp.datasets.limits import Limits

PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
OPEN_FILES = 64
GRACE_SECONDS = 5
"""Between SIGXCPU, which names the reason, and SIGKILL."""


def confine(limits: Limits, source_bytes: int, parent: int) -> dict[str, bool]:
    """Layer by name -> whether it holds. Raises OSError or ValueError where a resource limit cannot be set."""
    layers = _kernel_layers() if sys.platform == "linux" else {}
    if os.getppid() != parent:
        sys.exit("the parent is gone")  # it died before the death signal was asked for
    cpu = limits.cpu_seconds_for(source_bytes)
    _limit(resource.RLIMIT_CPU, cpu, cpu + GRACE_SECONDS)
    _limit(resource.RLIMIT_FSIZE, limits.output_bytes_for(source_bytes))
    _limit(resource.RLIMIT_NOFILE, OPEN_FILES)
    _limit(resource.RLIMIT_CORE, 0)
    layers |= dict.fromkeys(("cpu_time", "file_size", "open_files", "no_core_dumps", "own_session"), True)
    layers["memory"] = sys.platform == "linux"
    if layers["memory"]:
        _limit(resource.RLIMIT_AS, limits.memory_bytes)
    return layers


def _limit(kind: int, value: int, hard: int | None = None) -> None:
    """Set a limit, never above what the host already allows."""
    _, most = resource.getrlimit(kind)
    wanted = [value, value if hard is None else hard]
    if most != resource.RLIM_INFINITY:
        wanted = [min(each, most) for each in wanted]
    resource.setrlimit(kind, (wanted[0], wanted[1]))


def _kernel_layers() -> dict[str, bool]:
    libc = ctypes.CDLL(None, use_errno=True)
    no_network = libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0  # some hosts and containers forbid it
    return {
        "no_network": no_network,
        "no_new_privileges": libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0,
        "ends_with_parent": libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) == 0,
    }
