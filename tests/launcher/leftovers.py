"""Finds processes by a mark in their environment: whatever a test started carries it, grandchildren included."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil

MARK = "DELTABOARD_TEST_MARK"


def marked(mark: str) -> list[int]:
    """The numbers of all living processes that carry the mark."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def eventually(condition: Callable[[], bool], limit_seconds: float = 10.0) -> bool:
    """Polls until the condition holds; False when the time is over."""
    deadline = time.monotonic() + limit_seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
