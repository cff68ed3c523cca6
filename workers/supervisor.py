"""Watches one training tree from start to end: reads its pipes, keeps its lifeline, obeys wishes, ends it for certain.

Knows neither HTTP nor Celery: events and wishes go through a `Line`, the worker's own shutdown through `Orders`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Any, Protocol

from workers.ending import Exit, Stop, memory_kills
from workers.isolation import Isolation
from workers.orders import Orders
from workers.output import OutputLines
from workers.pipe import EventLines, read_until
from workers.protocol import Timings, Wish
from workers.tree import Launch, Tree

READ_ON_SECONDS = 2.0
"""How long the pipes are read after the trainer's exit: a grandchild may hold them open."""
STACK_DUMP_SECONDS = 1.0
PROGRESS = frozenset({"phase", "plan", "metrics", "checkpoint", "artifact", "result"})


class Line(Protocol):
    """The attempt's line to the site, as `reporting.Reporter` is one."""

    wish: Wish
    stale: Event

    @property
    def silent_seconds(self) -> float: ...
    def say(self, event: dict[str, Any]) -> None: ...
    def say_line(self, text: str, level: str = "info") -> None: ...


@dataclass
class Heard:
    """What came through the event pipe."""

    line: Line
    on_checkpoint: Callable[[dict[str, Any]], None]
    failed: dict[str, Any] | None = None
    spoke: bool = False
    moved_at: float = field(default_factory=time.monotonic)

    def take(self, event: dict[str, Any]) -> None:
        kind = event["kind"]
        self.spoke = self.spoke or kind != "noise"
        if kind in PROGRESS:  # a long evaluation says the same phase again and again: that is life, too
            self.moved_at = time.monotonic()
        if kind == "failed":
            self.failed = dict(event)
        self.line.say(event)
        if kind == "checkpoint":
            self.on_checkpoint(event)


def supervise(
    launch: Launch,
    line: Line,
    timings: Timings,
    isolation: Isolation,
    orders: Orders,
    on_checkpoint: Callable[[dict[str, Any]], None] = lambda event: None,
    has_artifact: Callable[[], bool] = lambda: False,
) -> Exit:
    """Run the tree to its end; when this returns, no process of it lives. Call from a thread that lives as long."""
    heard = Heard(line, on_checkpoint)
    tree = Tree(launch, isolation)
    readers = Readers(tree, heard, line)
    watch = Watch(tree, line, timings, orders, heard)
    try:
        while not tree.wait(0.05):
            watch.look()
        watch.look_at_memory()
        readers.read_on()
    finally:
        tree.kill()
        readers.stop()
    return Exit(
        returncode=tree.returncode if tree.returncode is not None else -9,
        stop=watch.stop,
        failed=heard.failed,
        has_artifact=has_artifact(),
        out_of_memory=watch.out_of_memory,
        memory=watch.memory,
        no_progress_seconds=timings.no_progress_seconds,
        spoke=heard.spoke,
    )


class Readers:
    """The two threads that read the tree's pipes."""

    def __init__(self, tree: Tree, heard: Heard, line: Line) -> None:
        self._stop = Event()
        self._events = EventLines(heard.take)
        self._output = OutputLines(line.say_line)
        self._threads = [
            Thread(target=read_until, args=(tree.events, self._stop, self._events.feed), daemon=True),
            Thread(target=read_until, args=(tree.output, self._stop, self._output.feed), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def read_on(self) -> None:
        """The trainer is gone: read what is left, not for ever."""
        until = time.monotonic() + READ_ON_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._output.finish()
        self._events.finish()


class Watch:
    """Decides, several times a second, whether the tree may run on."""

    def __init__(self, tree: Tree, line: Line, timings: Timings, orders: Orders, heard: Heard) -> None:
        self._tree, self._line, self._timings, self._orders, self._heard = tree, line, timings, orders, heard
        self.stop: Stop | None = None
        self.out_of_memory = False
        self.memory: dict[str, int] = {}
        self._deadline = float("inf")
        self._beat_at = 0.0
        self._memory_kills = self._memory_kills_before = memory_kills()

    def look(self) -> None:
        now = time.monotonic()
        if now - self._beat_at >= 1:
            self._beat_at = now
            self._tree.beat()
            self._memory_kills_before, self._memory_kills = self._memory_kills, memory_kills()
        self._obey(now)
        if now >= self._deadline:
            self._tree.kill()

    def look_at_memory(self) -> None:
        """Just after the end: did the kernel kill for memory, in the tree itself, or somewhere a second or two ago?"""
        own = self._tree.memory()
        if own is None:
            self.out_of_memory = memory_kills() > self._memory_kills_before
        else:
            self.out_of_memory, self.memory = own.kills > 0, own.numbers

    def _obey(self, now: float) -> None:
        timings = self._timings
        if self._line.stale.is_set():
            self._begin(Stop.STALE, now, 0)
        elif self._orders.hurry.is_set():
            self._begin(Stop.DRAIN, now, 0)
        elif self._line.wish == "cancel":
            self._begin(Stop.CANCEL, now, timings.cancel_grace_seconds)
        elif self.stop is None:
            self._obey_the_rest(now)

    def _obey_the_rest(self, now: float) -> None:
        timings = self._timings
        if self._line.wish == "pause":
            self._begin(Stop.PAUSE, now, timings.drain_limit_seconds)
        elif self._orders.drain.is_set():
            self._begin(Stop.DRAIN, now, timings.drain_limit_seconds)
        elif self._line.silent_seconds > timings.cut_off_seconds:
            self._begin(Stop.CUT_OFF, now, timings.drain_limit_seconds)
        elif now - self._heard.moved_at > timings.no_progress_seconds:
            self._line.say_line("No progress: asking the training process where it stands.", "warning")
            self._tree.dump_stacks()
            self.stop, self._deadline = Stop.STALLED, now + STACK_DUMP_SECONDS

    def _begin(self, stop: Stop, now: float, grace_seconds: float) -> None:
        """Start an end, or shorten one; the stronger reason stays."""
        first = self.stop is None
        if self.stop is not Stop.CANCEL or stop is Stop.STALE:
            self.stop = stop
        self._deadline = min(self._deadline, now + grace_seconds)
        if first and grace_seconds > 0:
            self._tree.ask_to_stop()
