"""The site's connection to Redis or Valkey, which may be down at any moment: nothing here is the truth."""

from __future__ import annotations

import json
import logging
from functools import cache
from typing import Any

import redis
from django.conf import settings

log = logging.getLogger(__name__)
LIVE_PREFIX = "deltaboard:live:"


@cache
def client() -> redis.Redis:
    """One pooled client per process, with short timeouts: a page never waits for a broker that is away."""
    return redis.Redis.from_url(
        settings.REDIS_URL, protocol=2, socket_timeout=2, socket_connect_timeout=1, retry_on_timeout=False
    )


def publish(job_id: int, messages: list[dict[str, Any]]) -> None:
    """Tell open pages about new events of a job; a lost message is filled in from the database."""
    try:
        client().publish(f"{LIVE_PREFIX}{job_id}", json.dumps(messages))
    except redis.RedisError as error:
        log.warning("live update for job %s not published: %s", job_id, error)
