"""Notices that permits no longer reach this worker though its broker answers, as after some lost connections.

Only says so; what follows (restart, report) is the station's.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import redis

ASK_LIMIT_SECONDS = 3.0


def answers(broker_url: str) -> bool:
    """Whether the broker answers PING on a connection of its own, not on the one that may be dead."""
    connection = redis.Redis.from_url(
        broker_url, socket_timeout=ASK_LIMIT_SECONDS, socket_connect_timeout=ASK_LIMIT_SECONDS, retry=None
    )
    try:
        with connection as client:
            return bool(client.ping())
    except (redis.RedisError, OSError):
        return False


class Hearing:
    """When this worker last had reason to expect a permit, and whether one came."""

    def __init__(self, broker_answers: Callable[[], bool], clock: Callable[[], float] = time.monotonic) -> None:
        self._broker_answers, self._clock = broker_answers, clock
        self._expecting_since: float | None = None
        self.deaf = False

    def permit_came(self) -> None:
        self._expecting_since, self.deaf = None, False

    def expect(self, wanted: bool, limit_seconds: float) -> None:
        """After each hello: `wanted` if work waits and a slot is free for it. A permit that is on its way has time."""
        if not wanted:
            self._expecting_since = None
            return
        if self._expecting_since is None:
            self._expecting_since = self._clock()
        overdue = self._clock() - self._expecting_since >= limit_seconds
        if overdue and not self.deaf:
            self.deaf = self._broker_answers()
