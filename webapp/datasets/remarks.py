"""Which stored rows something was remarked on: one bit a row for each kind, so that a person can look at just those.

The bits of all kinds stand in one file beside the rows, kind after kind in the order of their names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

READ_AT_ONCE = 64 * 1024
"""Bytes of one kind's bits, which are half a million rows."""


def bytes_of_a_kind(rows: int) -> int:
    return (rows + 7) // 8


class Remarks:
    """Kinds of remarks and the good rows they are about, from 1 in the order of the file."""

    def __init__(self) -> None:
        self.bits: dict[str, bytearray] = {}

    def add(self, row: int, codes: set[str]) -> None:
        place, bit = divmod(row - 1, 8)
        for code in codes:
            self._up_to(code, place + 1)[place] |= 128 >> bit

    def add_all(self, code: str, first: int, are: NDArray[np.bool_]) -> None:
        """One kind, for a stretch of rows from `first` on: those where it says so."""
        places = np.flatnonzero(are) + (first - 1)
        if len(places):
            bits = np.frombuffer(self._up_to(code, bytes_of_a_kind(int(places[-1]) + 1)), dtype=np.uint8)
            np.bitwise_or.at(bits, places >> 3, (128 >> (places & 7)).astype(np.uint8))

    def _up_to(self, code: str, size: int) -> bytearray:
        bits = self.bits.setdefault(code, bytearray())
        if len(bits) < size:
            bits.extend(bytes(size - len(bits)))
        return bits

    def write(self, path: Path, rows: int, dropped: Sequence[int]) -> dict[str, int]:
        """Code -> number of stored rows, where of so many good rows these, in order, were not kept."""
        gone = np.asarray(dropped, dtype=np.int64) - 1
        counts: dict[str, int] = {}
        if not self.bits:
            return counts
        with path.open("wb") as file:
            for code in sorted(self.bits):
                bits = np.frombuffer(self._up_to(code, bytes_of_a_kind(rows)), dtype=np.uint8)
                kept = np.delete(np.unpackbits(bits, count=rows), gone)
                if kept.any():
                    counts[code] = int(np.count_nonzero(kept))
                    np.packbits(kept).tofile(file)
        if not counts:
            path.unlink()
        return counts


def remarked_rows(file: IO[bytes], codes: Sequence[str], code: str, rows: int, after: int) -> Iterator[int]:
    """Numbers of the rows beyond `after` that a kind was remarked on; `codes` are all kinds of so many stored rows."""
    size = bytes_of_a_kind(rows)
    start, place = sorted(codes).index(code) * size, after // 8
    while place < size:
        file.seek(start + place)
        bits = np.frombuffer(file.read(min(READ_AT_ONCE, size - place)), dtype=np.uint8)
        if not len(bits):
            return
        for number in (np.flatnonzero(np.unpackbits(bits)) + 8 * place + 1).tolist():
            if number > after:
                yield number
        place += len(bits)


def kinds_on(file: IO[bytes], codes: Sequence[str], rows: int, row: int) -> list[str]:
    """What was remarked on one stored row."""
    place, bit = divmod(row - 1, 8)
    found = []
    for number, code in enumerate(sorted(codes)):
        file.seek(number * bytes_of_a_kind(rows) + place)
        if (file.read(1) or b"\0")[0] & 128 >> bit:
            found.append(code)
    return found
