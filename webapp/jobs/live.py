"""Server-Sent Events beside Django: one hub per process reads the broker and fans out to every open page.

The database is the history and the broker only a nudge: a viewer replays from its cursor, and whatever the broker
loses is filled in from the database. No viewer holds a thread or a database connection while it waits, and an event is
written out once for all viewers of its job.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import redis.asyncio
from django.conf import settings
from django.db import connections
from redis.exceptions import RedisError

from webapp.broker import LIVE_PREFIX
from webapp.jobs.recording import Message, messages_after

log = logging.getLogger(__name__)
Answer = TypeVar("Answer")

BATCHES_AT_MOST = 64
EVENTS_A_READ = 2000
SILENCE_SECONDS = 15.0
RECHECK_SECONDS = 60.0
CATCH_UP_SECONDS = 2.0
"""How often a viewer looks into the database while the broker is away."""
READERS = ThreadPoolExecutor(4, "live-reader")
"""Few, so that a crowd that comes back at once neither starts hundreds of threads nor takes all connections."""


@dataclass(frozen=True, slots=True)
class Told:
    """One event in the stream's format."""

    n: int
    kind: str
    sse: bytes


def as_told(message: Message) -> Told:
    """Its id is the cursor."""
    n, kind = message["n"], message["kind"]
    return Told(n, kind, f"id: {n:d}\nevent: {kind}\ndata: {json.dumps(message)}\n\n".encode())


@dataclass(eq=False, slots=True)
class Viewer:
    """One open stream of one job, small because there are many: what waits for it, and a way to wake it."""

    job_id: int
    user_id: int
    behind: bool = True
    """It reads the database next: just opened, it read too slowly, or something was lost."""
    gone: bool = False
    batches: list[list[Told]] = field(default_factory=list)
    _woken: asyncio.Future[None] | None = None

    def tell(self, batch: list[Told]) -> None:
        if len(self.batches) < BATCHES_AT_MOST:
            self.batches.append(batch)
        else:
            self.behind = True
        self._wake()

    def leave(self) -> None:
        self.gone = True
        self._wake()

    def look_again(self) -> None:
        self.behind = True
        self._wake()

    def _wake(self) -> None:
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    async def wait(self, seconds: float) -> None:
        """Until something came, the viewer left, it is to look again, or for so long."""
        if self.batches or self.gone or self.behind:
            return
        loop = asyncio.get_running_loop()
        self._woken = loop.create_future()
        timer = loop.call_later(seconds, self._wake)
        try:
            await self._woken
        finally:
            timer.cancel()
            self._woken = None


class Full(Exception):
    """Over the limit of this process or of this person: the page polls instead."""


class Hub:
    """All viewers of this process, and the one task that feeds them."""

    def __init__(self) -> None:
        self.viewers: dict[int, set[Viewer]] = defaultdict(set)
        self.people: Counter[int] = Counter()
        self.count = 0
        self.task: asyncio.Task[None] | None = None
        self.connected = False

    @contextlib.contextmanager
    def viewing(self, viewer: Viewer) -> Iterator[None]:
        """Hold a place. Raises Full in the same breath as it counts, so that no crowd slips in together."""
        mine = self.people[viewer.user_id]
        if self.count >= settings.LIVE_STREAMS_PER_PROCESS or mine >= settings.LIVE_STREAMS_PER_USER:
            raise Full
        if self.task is None or self.task.done():
            self.task = asyncio.get_running_loop().create_task(self._feed())
        self._seat(viewer, 1)
        self.viewers[viewer.job_id].add(viewer)
        try:
            yield
        finally:
            self._seat(viewer, -1)
            self.viewers[viewer.job_id].discard(viewer)
            if not self.viewers[viewer.job_id]:
                del self.viewers[viewer.job_id]

    def _seat(self, viewer: Viewer, by: int) -> None:
        self.count += by
        self.people[viewer.user_id] += by
        if not self.people[viewer.user_id]:
            del self.people[viewer.user_id]

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
        if viewers := self.viewers.get(job_id):
            batch = [as_told(event) for event in json.loads(message["data"])]
            for viewer in viewers:
                viewer.tell(batch)

    def _all_catch_up(self) -> None:
        """The broker is back: what it missed is in the database."""
        self.connected = True
        for viewer in (each for viewers in self.viewers.values() for each in viewers):
            viewer.look_again()


hub = Hub()


async def from_database(read: Callable[[], Answer]) -> Answer:
    """Ask in a reader's thread, which gives its connection back."""

    def asked() -> Answer:
        try:
            return read()
        finally:
            connections.close_all()

    return await asyncio.get_running_loop().run_in_executor(READERS, asked)


async def events_after(
    viewer: Viewer, cursor: int, allowed: Callable[[], Awaitable[bool]]
) -> AsyncIterator[list[Told]]:
    """Every event after the cursor, once and in order, then live ones, as they come; none after a silence.

    The viewer holds a place in the hub. `allowed` is asked again every minute; the stream ends when it says no, when
    the viewer has left, or after the job's `end`.
    """
    checked = time.monotonic()
    missing: int | None = None
    while not viewer.gone:
        stored = viewer.behind
        batch = await _catch_up(viewer, cursor) if stored else await _next_batch(viewer)
        fresh: list[Told] = []
        for told in batch:
            if told.n <= cursor:
                continue
            if told.n > cursor + 1 and not (stored and missing == cursor):
                viewer.behind = True  # something was lost on the way: the database has it
                missing = cursor if stored else None  # or, if it says so twice, nobody has
                break
            cursor = told.n
            fresh.append(told)
        if fresh or not batch:
            yield fresh
        if any(told.kind == "end" for told in fresh):
            return
        if time.monotonic() - checked > RECHECK_SECONDS:
            checked = time.monotonic()
            if not await allowed():
                return


async def _catch_up(viewer: Viewer, cursor: int) -> list[Told]:
    """The next events from the database; with no more of them than it gives at once, the viewer is up to date."""
    viewer.batches.clear()
    viewer.behind = False

    def read() -> list[Told]:
        return [as_told(message) for message in messages_after(viewer.job_id, cursor, EVENTS_A_READ)]

    batch = await from_database(read)
    viewer.behind = viewer.behind or len(batch) == EVENTS_A_READ
    return batch


async def _next_batch(viewer: Viewer) -> list[Told]:
    """What the hub hands out next; after a silence the database is asked, whether the broker is there or not."""
    await viewer.wait(SILENCE_SECONDS if hub.connected else CATCH_UP_SECONDS)
    if viewer.batches:
        return viewer.batches.pop(0)
    viewer.behind = True
    return []
