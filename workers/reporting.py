"""Hands an attempt's events to the site once a second, which is its heartbeat, and brings back what the person wishes.

Never gives up by itself: a site that does not answer fills the buffer; who stops the training is the supervisor.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

from workers.buffer import EventBuffer
from workers.client import FIRST_PAUSE_SECONDS, Claimed, SiteRefused, SiteUnreachable, StaleAttempt, never, next_pause
from workers.protocol import Timings, Wish

log = logging.getLogger(__name__)

BATCH_EVENTS = 1000
BATCH_BYTES = 900_000
"""Somewhat under the site's 1 MB, for what is around the events."""
LOG_TAIL_LINES = 50
ABOUT_CONTENT = (400, 413, 422)
REPLACED = "the site did not take this event"


class Reporter:
    """One attempt's line to the site: `say` facts, read `wish`, `stale` and `silent_seconds`."""

    def __init__(
        self, attempt: Claimed, timings: Timings, overflow: Path, host: Callable[[], dict[str, float]] = dict
    ) -> None:
        """`host` gives the newest look at the machine, told with the next metrics: a sandbox sees little of it."""
        self._attempt, self._timings = attempt, timings
        self._host, self._host_told = host, dict[str, float]()
        self._buffer = EventBuffer(overflow)
        self._lock = Lock()
        self._answered_at = time.monotonic()
        self._closing, self._hurry = Event(), Event()
        self._most_events = BATCH_EVENTS
        self._thread = Thread(target=self._run, name="reporter", daemon=True)
        self.tail: deque[str] = deque(maxlen=LOG_TAIL_LINES)
        self.wish: Wish = "run"
        self.stale = Event()
        """The site has ended this attempt."""

    def __enter__(self) -> Reporter:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._closing.set()
        self._hurry.set()
        self._thread.join()

    def say(self, event: dict[str, Any]) -> None:
        """Queue an event. One that JSON or UTF-8 cannot carry is counted as noise."""
        event.setdefault("time", round(time.time(), 3))
        if event.get("kind") == "metrics":
            self._add_host(event)
        try:
            self._buffer.add(event)
        except ValueError:
            self._buffer.add({"kind": "noise", "time": event["time"], "count": 1, "sample": "not valid UTF-8"})
            return
        if event.get("kind") == "log":
            with self._lock:
                self.tail.append(str(event.get("text", "")))

    def _add_host(self, event: dict[str, Any]) -> None:
        """Each look once: many steps a second would only repeat it."""
        newest, values = self._host(), event.get("values")
        if newest is not self._host_told and isinstance(values, dict):
            self._host_told = newest
            event["values"] = {**values, **newest}

    def say_line(self, text: str, level: str = "info") -> None:
        self.say({"kind": "log", "level": level, "text": text})

    @property
    def silent_seconds(self) -> float:
        """Since the site's last answer."""
        return time.monotonic() - self._answered_at

    @property
    def _longest_pause(self) -> float:
        """A site that is back gives each attempt one fresh lease: the next try must fall well inside it."""
        return self._timings.lease_seconds / 3

    @property
    def last_seq(self) -> int:
        return self._buffer.last_acked

    @property
    def last_said(self) -> int:
        """The number of the newest event, taken by the site or not."""
        return self._buffer.last_added

    def log_tail(self) -> list[str]:
        with self._lock:
            return list(self.tail)

    def hurry(self) -> None:
        """Send the next batch now."""
        self._hurry.set()

    def flush(self, give_up: Callable[[], bool] = never) -> bool:
        """Wait until the site has everything; False if it ended the attempt or `give_up()` is true."""
        while not self._buffer.empty:
            self._hurry.set()
            if self.stale.wait(0.02) or give_up():
                return False
        return not self.stale.is_set()

    def _run(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not self._closing.is_set() and not self.stale.is_set():
            try:
                more = self._send()
                pause = FIRST_PAUSE_SECONDS
                if not more:
                    self._hurry.wait(self._timings.batch_seconds)
                    self._hurry.clear()
            except StaleAttempt:
                self.stale.set()
            except (SiteUnreachable, SiteRefused) as error:
                wished = getattr(error, "retry_after_seconds", None) or pause
                self._closing.wait(min(wished, self._longest_pause))
                pause = next_pause(pause)

    def _send(self) -> bool:
        """One batch; True if more events wait."""
        first, events = self._buffer.take(self._most_events, BATCH_BYTES)
        try:
            answer = self._attempt.send_events(first, events[: self._most_events])
        except SiteRefused as error:
            if not events:
                raise
            self._narrow(error, first, events)
            return True
        self._answered_at = time.monotonic()
        self._most_events = min(BATCH_EVENTS, self._most_events * 2)
        self.wish = answer.wish
        self._buffer.done(answer.acked_seq)
        return len(events) > 0 and not self._buffer.empty

    def _narrow(self, error: SiteRefused, first: int, events: list[str]) -> None:
        """A batch was refused: look for the event that is wrong, and put a note in its place."""
        self._answered_at = time.monotonic()
        if error.status not in ABOUT_CONTENT or REPLACED in events[0]:
            raise error
        if min(self._most_events, len(events)) > 1:
            self._most_events = min(self._most_events, len(events)) // 2
            return
        log.warning("The site refused event %d: %s", first, error)
        self._buffer.replace_first({"kind": "noise", "time": time.time(), "count": 1, "sample": REPLACED})
