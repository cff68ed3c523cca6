"""Events that wait for the site: in memory, beyond some size on disk, and bounded: log lines are left out first.

Numbers are given when an event is taken for sending, so leaving one out makes no gap.
"""

from __future__ import annotations

import json
from collections import deque
from pathlib import Path
from threading import Lock
from typing import Any

MEMORY_BYTES = 4 * 1024 * 1024
DISK_BYTES = 256 * 1024 * 1024
KEPT_ALWAYS = frozenset({"plan", "checkpoint", "artifact", "result", "failed"})


class EventBuffer:
    """A queue of JSON texts. Thread-safe; `take` and `done` are for one reader."""

    def __init__(self, overflow: Path, memory_bytes: int = MEMORY_BYTES, disk_bytes: int = DISK_BYTES) -> None:
        self._overflow, self._memory_bytes, self._disk_bytes = overflow, memory_bytes, disk_bytes
        self._lock = Lock()
        self._head: deque[str] = deque()
        self._head_bytes = 0
        self._read_at = self._written = 0
        self._taken: list[str] = []
        self._next_seq = 1
        self.left_out = 0
        """Events that found no room, since the buffer was made."""
        self.last_added = 0
        """The number that the newest event has, or will have once it is taken."""

    def add(self, event: dict[str, Any]) -> None:
        """Append an event; its own `seq` is not kept. Raises ValueError for what JSON or UTF-8 cannot carry."""
        event.pop("seq", None)
        text = json.dumps(event, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        size = len(text.encode())
        with self._lock:
            if self._full(str(event.get("kind"))):
                self.left_out += 1
            elif self._on_disk or self._head_bytes + size > self._memory_bytes:
                self._spill(text)
            else:
                self._head.append(text)
                self._head_bytes += size
                self.last_added += 1

    @property
    def _on_disk(self) -> int:
        return self._written - self._read_at

    def _full(self, kind: str) -> bool:
        if kind in KEPT_ALWAYS:
            return False
        limit = self._disk_bytes // 2 if kind in ("log", "noise") else self._disk_bytes
        return self._on_disk >= limit

    def _spill(self, text: str) -> None:
        try:
            with self._overflow.open("ab", buffering=0) as file:
                file.truncate(self._written)  # what a full disk cut off last time
                self._written += file.write(text.encode() + b"\n")
            self.last_added += 1
        except OSError:
            self.left_out += 1

    def take(self, most_events: int, most_bytes: int) -> tuple[int, list[str]]:
        """The next batch and its first number; the same again until `done` says how much of it was kept."""
        with self._lock:
            size = sum(len(text) for text in self._taken)
            while len(self._taken) < most_events:
                self._refill()
                if not self._head or size + len(self._head[0]) + 32 > most_bytes:
                    break
                text = self._head.popleft()
                self._head_bytes -= len(text.encode())
                self._taken.append(f'{{"seq":{self._next_seq + len(self._taken)},{text[1:]}')
                size += len(self._taken[-1].encode())
            return self._next_seq, list(self._taken)

    def _refill(self) -> None:
        if self._head or not self._on_disk:
            return
        with self._overflow.open("rb") as file:
            file.seek(self._read_at)
            lines = file.readlines(self._memory_bytes // 4)
        self._head.extend(line[:-1].decode() for line in lines)
        self._head_bytes = sum(len(line) - 1 for line in lines)
        self._read_at += sum(len(line) for line in lines)
        if not self._on_disk:
            self._overflow.unlink()
            self._read_at = self._written = 0

    def done(self, acked_seq: int) -> None:
        """The site has kept everything up to this number."""
        with self._lock:
            kept = max(0, min(acked_seq - self._next_seq + 1, len(self._taken)))
            del self._taken[:kept]
            self._next_seq += kept

    def replace_first(self, event: dict[str, Any]) -> None:
        """Put another event in place of the first taken one, under its number."""
        with self._lock:
            self._taken[0] = json.dumps({"seq": self._next_seq} | event)

    @property
    def last_acked(self) -> int:
        return self._next_seq - 1

    @property
    def empty(self) -> bool:
        with self._lock:
            return not (self._taken or self._head or self._on_disk)
