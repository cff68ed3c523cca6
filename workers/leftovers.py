"""Finds and kills processes that an attempt left behind, by the mark in their environment."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import psutil

from workers.protocol import ATTEMPT_VARIABLE

log = logging.getLogger(__name__)


def kill_marked(is_ours: Callable[[str], bool]) -> int:
    """SIGKILL every process whose mark says it is ours; how many there were. Looks again until none is new."""
    killed = 0
    while found := list(_marked(is_ours)):
        for process in found:
            _kill(process)
        killed += len(found)
        _, alive = psutil.wait_procs(found, timeout=2)
        if alive:
            log.error("These processes do not end: %s", ", ".join(str(process.pid) for process in alive))
            break
    return killed


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
