"""Cuts a file into physical lines, as bytes: at LF, CR LF and a lone CR, never at U+2028 and its like."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from webapp.datasets.limits import MIB
from webapp.datasets.problems import Problems

CHUNK_BYTES = 256 * 1024


@dataclass
class Lines:
    """The lines of one file with their ends, a UTF-8 mark dropped; knows where the reader stands."""

    path: Path
    problems: Problems
    limit_bytes: int
    number: int = 0
    """Of the line given last, from 1."""
    at_end: bool = False
    """The line given last is the file's last."""
    lone_returns: int = 0
    """Lines that ended with CR alone, as on old Macs."""

    def __iter__(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            held = file.read(3).removeprefix(codecs.BOM_UTF8)
            while chunk := file.read(CHUNK_BYTES):
                # bytes.splitlines knows exactly the three line ends. The last piece may be half a line.
                pieces = (held + chunk).splitlines(keepends=True)
                held = pieces.pop()
                yield from self._counted(pieces)
                self._check(len(held), self.number + 1)
        pieces = held.splitlines(keepends=True)
        yield from self._counted(pieces[:-1])
        self.at_end = True
        yield from self._counted(pieces[-1:])

    def _counted(self, pieces: list[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self.number += 1
            if len(piece) > self.limit_bytes:
                self._check(len(piece), self.number)
            if piece.endswith(b"\r"):
                self.lone_returns += 1
            yield piece

    def _check(self, length: int, number: int) -> None:
        if length > self.limit_bytes:
            message = f"Line {number:,} is over {_size(self.limit_bytes)}."
            hint = "Write one row a line, and cut very long texts."
            raise self.problems.refuse("line_too_long", message, hint, line=number)

    def conclude(self, blank: int) -> None:
        """Notices about lines, once all are read."""
        if blank:
            what = "1 blank line was" if blank == 1 else f"{blank:,} blank lines were"
            self.problems.notice("blank_lines", f"{what} passed over.", count=blank)
        if self.lone_returns:
            message = "Lines end with a carriage return alone, as on old Macs; they were read as lines."
            self.problems.notice("old_mac_lines", message)


def _size(size: int) -> str:
    return f"{size // MIB} MiB" if size >= MIB else f"{size:,} bytes"
