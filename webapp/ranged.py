"""A stored file that is fetched piece by piece as it is read: a page out of the middle costs no more than it shows."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

FIRST_BYTES, MOST_BYTES = 256 * 1024, 4 * 1024**2
"""A fetch; each that goes on where the one before ended is twice as large."""


class Ranged(io.RawIOBase):
    """Reads `size` bytes through `fetch(start, end)`, the end excluded; holds one piece in memory."""

    def __init__(self, fetch: Callable[[int, int], bytes], size: int) -> None:
        super().__init__()
        self.fetch, self.size = fetch, size
        self.place = self.held_from = 0
        self.held, self.wanted = b"", FIRST_BYTES

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.place, io.SEEK_END: self.size}[whence]
        return self.place

    def readinto(self, target: Any) -> int:
        """As much as is held, fetched where nothing is; raises what `fetch` raises."""
        if self.place >= self.size:
            return 0
        if not self.held_from <= self.place < self.held_from + len(self.held):
            self._fetch()
        start = self.place - self.held_from
        piece = memoryview(self.held)[start : start + len(target)]
        target[: len(piece)] = piece
        self.place += len(piece)
        return len(piece)

    def _fetch(self) -> None:
        goes_on = bool(self.held) and self.place == self.held_from + len(self.held)
        self.wanted = min(MOST_BYTES, 2 * self.wanted) if goes_on else FIRST_BYTES
        end = min(self.size, self.place + self.wanted)
        self.held, self.held_from = self.fetch(self.place, end), self.place
