"""The site's connection to Redis or Valkey, which may be down at any moment: nothing here is the truth.

Whoever finds it away notes so, and for a few seconds nobody else waits for it.
"""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from functools import cache
from typing import Any

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

log = logging.getLogger(__name__)
LIVE_PREFIX = "deltaboard:live:"
AWAY_SECONDS = 5.0
AWAY = (redis.ConnectionError, redis.TimeoutError)
"""It does not answer. Any other error is an answer: it refuses one command, and may well take the next."""


@dataclass
class Outage:
    """What this process knows of the broker: away until then, or well."""

    until: float = 0.0

    @property
    def known(self) -> bool:
        return time.monotonic() < self.until

    def began(self) -> None:
        self.until = time.monotonic() + AWAY_SECONDS

    def ended(self) -> None:
        self.until = 0.0


outage = Outage()


@cache
def client() -> redis.Redis:
    """One pooled client per process, with short timeouts: a page never waits for a broker that is away."""
    return redis.Redis.from_url(
        settings.REDIS_URL,
        protocol=2,
        socket_timeout=1,
        socket_connect_timeout=1,
        retry=Retry(NoBackoff(), 1),  # a connection that a restart has cut is made anew, once
    )


def publish(job_id: int, messages: list[dict[str, Any]]) -> None:
    """Tell open pages about new events of a job; a lost message is filled in from the database."""
    if outage.known:
        return
    try:
        client().publish(f"{LIVE_PREFIX}{job_id}", json.dumps(messages))
    except redis.RedisError as error:
        _note(error)
        log.warning("live update for job %s not published: %s", job_id, error)


def answers() -> bool:
    """Whether the broker takes a command now; False for a while after it did not."""
    if outage.known:
        return False
    try:
        client().ping()
    except redis.RedisError as error:
        _note(error)
        log.warning("the broker does not answer: %s", error)
        return False
    return True


def _note(error: redis.RedisError) -> None:
    if isinstance(error, AWAY):
        outage.began()
