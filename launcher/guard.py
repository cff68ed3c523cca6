"""Kills the process groups of a supervisor that died: `python -m launcher.guard`, told the groups on its stdin.

A line `+123` names a group, `-123` takes it back; the end of the input means that the supervisor is gone.
It reaches what the parent-death signal does not: grandchildren, and systems without such a signal.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable
from contextlib import suppress


def remaining_groups(lines: Iterable[str]) -> set[int]:
    """Reads until the end of the input; the groups that were named and not taken back."""
    groups: set[int] = set()
    for line in lines:
        (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    return groups


if __name__ == "__main__":
    for wish in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(wish, signal.SIG_IGN)
    for group in remaining_groups(sys.stdin):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
