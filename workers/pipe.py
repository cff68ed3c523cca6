"""The trainer's event pipe: bytes to checked events. A line that is none is counted as noise, never fatal.

Checks what the site checks, so that one bad event does not spoil a batch.
"""

from __future__ import annotations

import json
import os
import selectors
import time
from collections.abc import Callable
from threading import Event as Flag
from typing import Any, NoReturn

from workers.output import MAX_LINE_BYTES, plain
from workers.protocol import MAX_EVENT_BYTES

KINDS = frozenset({"phase", "plan", "metrics", "log", "checkpoint", "artifact", "result", "failed"})
EVENTS_A_SECOND = 2000
"""A faster trainer is read more slowly; its own writer leaves out log lines first."""
READ_BYTES = 64 * 1024
SAMPLE_CHARACTERS = 200
MAX_VALUES = 200
NOT_FINITE = frozenset({"NaN", "Infinity", "-Infinity"})


class EventLines:
    """Bytes in, events out through `take`; noise comes as one event a second."""

    def __init__(self, take: Callable[[dict[str, Any]], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._take, self._clock = take, clock
        self._line = bytearray()
        self._too_long = False
        self._noise, self._sample, self._noise_at = 0, "", clock()

    def feed(self, chunk: bytes) -> int:
        """Take in bytes; how many lines ended in them."""
        first, *rest = chunk.split(b"\n")
        self._append(first)
        for part in rest:
            self._end_line()
            self._append(part)
        if self._clock() - self._noise_at >= 1:
            self._tell_noise()
        return len(rest)

    def finish(self) -> None:
        if self._line or self._too_long:
            self._end_line()
        self._tell_noise()

    def _append(self, part: bytes) -> None:
        if len(self._line) + len(part) > MAX_EVENT_BYTES:
            self._too_long = True
            part = part[: MAX_EVENT_BYTES - len(self._line)]
        self._line += part

    def _end_line(self) -> None:
        line, too_long = bytes(self._line), self._too_long
        self._line.clear()
        self._too_long = False
        event = None if too_long else parsed(line)
        if event is not None:
            self._take(event)
        elif line.strip():
            self._noise += 1
            self._sample = self._sample or plain(line[: SAMPLE_CHARACTERS * 4].decode(errors="replace"))

    def _tell_noise(self) -> None:
        self._noise_at = self._clock()
        if self._noise:
            self._take({"kind": "noise", "count": self._noise, "sample": self._sample[:SAMPLE_CHARACTERS]})
            self._noise, self._sample = 0, ""


def parsed(line: bytes) -> dict[str, Any] | None:
    """The event of a line, or None if it is not one the site takes."""
    try:
        event = json.loads(line, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    if not isinstance(event, dict) or event.get("kind") not in KINDS:
        return None
    if event["kind"] == "metrics" and not _are_metrics(event):
        return None
    if event["kind"] == "log":
        event["text"] = plain(str(event.get("text", "")))[:MAX_LINE_BYTES]
    return event


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _are_metrics(event: dict[str, Any]) -> bool:
    step, values = event.get("step"), event.get("values")
    if type(step) is not int or not 0 <= step < 2**31:
        return False
    return isinstance(values, dict) and 0 < len(values) <= MAX_VALUES and all(map(_is_number, values.values()))


def _is_number(value: Any) -> bool:
    return value in NOT_FINITE if isinstance(value, str) else type(value) in (int, float)


def read_until(fd: int, stop: Flag, feed: Callable[[bytes], int | None]) -> None:
    """Feed what comes on `fd` until its end, or until `stop`: a grandchild may hold it open. Closes `fd`.

    `feed` may return a number of events; a reader that gets too many in one second waits the second out.
    """
    with selectors.DefaultSelector() as selector:
        selector.register(fd, selectors.EVENT_READ)
        second, events = time.monotonic(), 0
        while not stop.is_set():
            if not selector.select(timeout=0.1):
                continue
            chunk = os.read(fd, READ_BYTES)
            if not chunk:
                break
            events += feed(chunk) or 0
            passed = time.monotonic() - second
            if events > EVENTS_A_SECOND and passed < 1:
                stop.wait(1 - passed)
            if time.monotonic() - second >= 1:
                second, events = time.monotonic(), 0
    os.close(fd)
