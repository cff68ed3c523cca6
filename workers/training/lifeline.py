"""Ends the training process when its supervisor is gone: by stdin, and on Linux by the kernel as well."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import threading

from workers.protocol import EXIT_FENCED, LIFELINE_VARIABLE

PR_SET_PDEATHSIG = 1
READ_BYTES = 4096


def hold(descriptor: int = 0) -> None:
    """Watch stdin from now on, if the supervisor asked for it; run by hand, nothing is watched."""
    seconds = os.environ.get(LIFELINE_VARIABLE)
    if not seconds:
        return
    _die_with_parent()
    threading.Thread(target=_watch, args=(descriptor, float(seconds)), name="lifeline", daemon=True).start()


def _die_with_parent() -> None:
    """Stdin alone would not do: a stopped or swapped-out process reads nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _watch(descriptor: int, seconds: float) -> None:
    while _is_alive(descriptor, seconds):
        pass
    # No clean-up on purpose: another attempt may already own the job, and nothing may be written any more.
    os._exit(EXIT_FENCED)


def _is_alive(descriptor: int, seconds: float) -> bool:
    try:
        readable, _, _ = select.select([descriptor], [], [], seconds)
        return bool(readable) and bool(os.read(descriptor, READ_BYTES))
    except OSError:
        return False
