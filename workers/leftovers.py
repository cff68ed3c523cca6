"""Finds and kills processes that an attempt left behind, by the mark in their environment."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator

import psutil

from workers.protocol import ATTEMPT_VARIABLE

log = logging.getLogger(__name__)
GONE_WITHIN_SECONDS = 5.0


def kill_marked(is_ours: Callable[[str], bool]) -> int:
    """SIGKILL every process whose mark says it is ours, until none is left; how many there were."""
    killed: set[int] = set()
    until = time.monotonic() + GONE_WITHIN_SECONDS
    while found := list(_marked(is_ours)):
        if time.monotonic() > until:
            log.error("These processes do not end: %s", ", ".join(str(process.pid) for process in found))
            break
        for process in found:
            killed.add(process.pid)
            _kill(process)
        time.sleep(0.02)
    return len(killed)


def _marked(is_ours: Callable[[str], bool]) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        try:
            mark = process.environ().get(ATTEMPT_VARIABLE)
            if mark is not None and is_ours(mark) and process.status() != psutil.STATUS_ZOMBIE:
                yield process
        except psutil.Error:  # ended meanwhile, or another user's
            continue


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return
