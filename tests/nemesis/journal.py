"""What every process of a nemesis run writes down of what it did: one JSON line per operation, in a file of its own.

`CLOCK_MONOTONIC` is one clock for all processes of a machine, so times of different journals may be compared.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any


@dataclass(frozen=True)
class Entry:
    """One operation as its actor saw it."""

    actor: str
    op: str
    ok: bool
    t_sent: float
    """Monotonic seconds when the request left; the same as `t_mono` where there was none."""
    t_mono: float
    """Monotonic seconds when the answer was there."""
    wall: float
    """Unix seconds at `t_mono`."""
    job: int | None = None
    attempt: int | None = None
    attempt_no: int | None = None
    status: int | None = None
    """HTTP status; None where no answer came."""
    more: dict[str, Any] = field(default_factory=dict)


class Journal:
    """Appends to one file. Thread-safe; a line is written in one call, so a kill tears none but the last."""

    def __init__(self, folder: Path, actor: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.actor = actor
        self._lock = Lock()
        path = folder / f"{actor}-{os.getpid()}-{time.monotonic_ns()}.jsonl"
        self._file = path.open("ab", buffering=0)

    def note(self, op: str, ok: bool, t_sent: float | None = None, **facts: Any) -> None:
        now = time.monotonic()
        entry = Entry(self.actor, op, ok, now if t_sent is None else t_sent, now, time.time(), **facts)
        line = json.dumps(asdict(entry)).encode() + b"\n"
        with self._lock:
            self._file.write(line)


def read_journals(folder: Path) -> list[Entry]:
    """Every entry of a run, by the time of its end; a torn last line is left out."""
    return sorted(_entries(folder), key=lambda entry: entry.t_mono)


def _entries(folder: Path) -> Iterator[Entry]:
    for path in folder.glob("*.jsonl"):
        for line in path.read_bytes().splitlines(keepends=True):
            if line.endswith(b"\n"):
                yield Entry(**json.loads(line))
