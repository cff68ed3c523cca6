"""Server-Sent Events beside Django: one hub per process reads the broker and fans out to every open page.

The database is the history and the broker only a nudge: a viewer replays from its cursor, and whatever the broker
loses is filled in from the database. No viewer holds a thread or a database connection while it waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import redis.asyncio
from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.conf import settings
from django.db import connections
from redis.exceptions import RedisError

from webapp.broker import LIVE_PREFIX
from webapp.jobs.models import ENDED, Job
from webapp.jobs.recording import messages_after

log = logging.getLogger(__name__)
Message = dict[str, Any]

QUEUE_LIMIT = 64
COMMENT_SECONDS = 15.0
RECHECK_SECONDS = 60.0
CATCH_UP_SECONDS = 2.0
"""How often a viewer looks into the database while the broker is away."""


@dataclass(eq=False)
class Viewer:
    """One open stream of one job."""

    job_id: int
    user_id: int
    queue: asyncio.Queue[list[Message]] = field(default_factory=lambda: asyncio.Queue(QUEUE_LIMIT))
    behind: bool = True
    """It reads the database next: just opened, its queue overflowed, or something was lost."""


class Full(Exception):
    """Over the limit of this process or of this person: the page polls instead."""


class Hub:
    """All viewers of this process, and the one task that feeds them."""

    def __init__(self) -> None:
        self.viewers: dict[int, set[Viewer]] = defaultdict(set)
        self.task: asyncio.Task[None] | None = None
        self.connected = False

    @property
    def count(self) -> int:
        return sum(len(viewers) for viewers in self.viewers.values())

    def _full_for(self, user_id: int) -> bool:
        mine = sum(viewer.user_id == user_id for viewers in self.viewers.values() for viewer in viewers)
        return self.count >= settings.LIVE_STREAMS_PER_PROCESS or mine >= settings.LIVE_STREAMS_PER_USER

    @contextlib.contextmanager
    def viewing(self, viewer: Viewer) -> Iterator[None]:
        """Hold a place. Raises Full in the same breath as it counts, so that no crowd slips in together."""
        if self._full_for(viewer.user_id):
            raise Full
        if self.task is None or self.task.done():
            self.task = asyncio.get_running_loop().create_task(self._feed())
        self.viewers[viewer.job_id].add(viewer)
        try:
            yield
        finally:
            self.viewers[viewer.job_id].discard(viewer)
            if not self.viewers[viewer.job_id]:
                del self.viewers[viewer.job_id]

    async def _feed(self) -> None:
        """Read the broker for as long as this process lives; while it is away, viewers read the database."""
        client = redis.asyncio.Redis.from_url(
            settings.REDIS_URL, protocol=2, socket_timeout=None, socket_keepalive=True, socket_connect_timeout=2
        )
        while True:
            try:
                async with client.pubsub() as channel:
                    await channel.psubscribe(f"{LIVE_PREFIX}*")
                    async for message in channel.listen():
                        if message["type"] == "pmessage":
                            self._hand_out(message)
                        elif message["type"] == "psubscribe":
                            self._all_catch_up()
            except (RedisError, OSError) as error:
                log.warning("live updates come from the database, the broker is away: %s", error)
            self.connected = False
            await asyncio.sleep(1)

    def _hand_out(self, message: dict[str, Any]) -> None:
        job_id = int(message["channel"].decode().removeprefix(LIVE_PREFIX))
        viewers = self.viewers.get(job_id)
        if not viewers:
            return
        events = json.loads(message["data"])
        for viewer in viewers:
            try:
                viewer.queue.put_nowait(events)
            except asyncio.QueueFull:
                viewer.behind = True

    def _all_catch_up(self) -> None:
        """The broker is back: what it missed is in the database."""
        self.connected = True
        for viewer in (each for viewers in self.viewers.values() for each in viewers):
            viewer.behind = True
            with contextlib.suppress(asyncio.QueueFull):
                viewer.queue.put_nowait([])


hub = Hub()


async def read_after(job_id: int, cursor: int) -> list[Message]:
    """Events after a cursor from the database, in a short thread context that gives its connection back."""

    def read() -> list[Message]:
        try:
            return messages_after(job_id, cursor)
        finally:
            connections.close_all()

    async with ThreadSensitiveContext():
        return await sync_to_async(read)()


async def nothing_follows(job_id: int, cursor: int) -> bool:
    """The job has ended and the cursor is at its last event."""

    def read() -> bool:
        try:
            return Job.objects.filter(pk=job_id, state__in=ENDED, last_event__lte=cursor).exists()
        finally:
            connections.close_all()

    async with ThreadSensitiveContext():
        return await sync_to_async(read)()


async def messages(
    viewer: Viewer, cursor: int, allowed: Callable[[], Awaitable[bool]]
) -> AsyncIterator[Message | None]:
    """Every event after the cursor, once and in order, then live ones; None when a comment is due.

    The viewer holds a place in the hub. `allowed` is asked again every minute; the stream ends when it says no, or
    after the job's `end`.
    """
    checked = time.monotonic()
    missing: int | None = None
    while True:
        stored = viewer.behind
        batch = await _catch_up(viewer, cursor) if stored else await _next_batch(viewer)
        for message in batch:
            if message["n"] <= cursor:
                continue
            if message["n"] > cursor + 1 and not (stored and missing == cursor):
                viewer.behind = True  # something was lost on the way: the database has it
                missing = cursor if stored else None  # or, if it says so twice, nobody has
                break
            cursor = message["n"]
            yield message
            if message["kind"] == "end":
                return
        if not batch:
            yield None
        if time.monotonic() - checked > RECHECK_SECONDS:
            checked = time.monotonic()
            if not await allowed():
                return


async def _catch_up(viewer: Viewer, cursor: int) -> list[Message]:
    """The next events from the database; with none left the viewer is no longer behind."""
    with contextlib.suppress(asyncio.QueueEmpty):
        while True:
            viewer.queue.get_nowait()
    viewer.behind = False
    batch = await read_after(viewer.job_id, cursor)
    viewer.behind = viewer.behind or bool(batch)
    return batch


async def _next_batch(viewer: Viewer) -> list[Message]:
    """What the hub hands out next; after a silence the database is asked, whether the broker is there or not."""
    patience = COMMENT_SECONDS if hub.connected else CATCH_UP_SECONDS
    try:
        return await asyncio.wait_for(viewer.queue.get(), patience)
    except TimeoutError:
        viewer.behind = True
        return []
