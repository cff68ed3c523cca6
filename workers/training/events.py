"""Says what happens in a training as JSON lines; never makes a step wait for whoever reads them.

What the events mean is written in `workers.protocol.Event`; who reads them is the supervisor's business.
"""

from __future__ import annotations

import json
import logging
import math
import os
import threading
import time
import warnings
from collections import Counter, deque
from pathlib import Path
from typing import Any

from workers.protocol import EVENT_FD_VARIABLE, MAX_EVENT_BYTES, EventKind

MAX_WAITING = 20_000
"""Events held for a slow reader before the oldest log lines, then the oldest metrics, are given up."""
MAX_TEXT = 8_000
"""Characters of one text; even escaped to six bytes each, an event stays under MAX_EVENT_BYTES."""
EXPENDABLE: tuple[EventKind, ...] = ("log", "metrics")
"""What is given up when nobody reads, in this order. All else is kept at any price."""


class Events:
    """An event line writer: `emit` queues and returns at once, a thread of its own writes."""

    def __init__(self, descriptor: int, max_waiting: int = MAX_WAITING) -> None:
        self._descriptor = descriptor
        self._max_waiting = max_waiting
        self._waiting: deque[dict[str, Any]] = deque()
        self._held: Counter[str] = Counter()
        self._changed = threading.Condition()
        self._closing = False
        self._dropped = 0
        self._seq = 0
        self._thread = threading.Thread(target=self._write_all, name="events", daemon=True)
        self._thread.start()

    @classmethod
    def from_environment(cls) -> Events:
        """To the descriptor that the supervisor named; by hand, to stdout."""
        return cls(int(os.environ.get(EVENT_FD_VARIABLE, "1")))

    @classmethod
    def unheard(cls) -> Events:
        """For a process whose work another one tells."""
        return cls(os.open(os.devnull, os.O_WRONLY))

    def emit(self, kind: EventKind, **fields: Any) -> None:
        """Say one fact. Returns at once; NaN and infinities travel as text."""
        event = {"kind": kind, "time": time.time(), **_plain(fields)}
        with self._changed:
            if len(self._waiting) >= self._max_waiting:
                self._make_room()
            self._waiting.append(event)
            self._held[kind] += 1
            self._changed.notify()

    def log(self, text: str, level: str = "info") -> None:
        """Say one sentence to whoever watches the job."""
        self.emit("log", level=level, text=text)

    def close(self) -> None:
        """Write all that waits, and end."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _make_room(self) -> None:
        for kind in EXPENDABLE:
            if self._held[kind]:  # counted, not looked for: with thousands waiting a search would slow the steps
                oldest = next(place for place, event in enumerate(self._waiting) if event["kind"] == kind)
                del self._waiting[oldest]
                self._held[kind] -= 1
                self._dropped += 1
                return

    def _next(self) -> dict[str, Any] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._dropped or self._closing)
            if self._waiting:
                event = self._waiting.popleft()
                self._held[event["kind"]] -= 1
                return event
            if self._dropped:
                text = f"{self._dropped:,} events were dropped because nobody read them fast enough."
                self._dropped = 0
                return {"kind": "log", "time": time.time(), "level": "warning", "text": text}
            return None

    def _write_all(self) -> None:
        while (event := self._next()) is not None:
            # Numbered here and not in `emit`: what was dropped leaves no gap.
            self._seq += 1
            if not self._write(_line({"seq": self._seq, **event})):
                return

    def _write(self, line: bytes) -> bool:
        while line:
            try:
                line = line[os.write(self._descriptor, line) :]
            except OSError:
                return False  # The reader is gone; the lifeline decides what that means.
        return True


class LogForwarder(logging.Handler):
    """Passes warnings of the libraries on as log events."""

    def __init__(self, events: Events) -> None:
        super().__init__(logging.WARNING)
        self._events = events

    def emit(self, record: logging.LogRecord) -> None:
        self._events.log(record.getMessage(), record.levelname.lower())


def forward_warnings(events: Events) -> None:
    """From now on, warnings and library logs of level warning or more become log events."""
    logging.captureWarnings(True)
    for calendar in (FutureWarning, DeprecationWarning, PendingDeprecationWarning):
        warnings.simplefilter("ignore", calendar)  # For those who maintain the libraries, not for who trains.
    logging.getLogger().addHandler(LogForwarder(events))


def _line(event: dict[str, Any]) -> bytes:
    line = json.dumps(event, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace") + b"\n"
    if len(line) <= MAX_EVENT_BYTES:
        return line
    short = {"seq": event["seq"], "kind": "log", "time": event["time"], "level": "warning"}
    short["text"] = f"An event of kind {event['kind']} was too long to send ({len(line):,} bytes)."
    return json.dumps(short).encode() + b"\n"


def _plain(value: Any) -> Any:
    match value:
        case float() if not math.isfinite(value):
            return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
        case str():
            return value if len(value) <= MAX_TEXT else value[:MAX_TEXT] + " …"
        case dict():
            return {str(key): _plain(each) for key, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case Path():
            return str(value)
    return value
