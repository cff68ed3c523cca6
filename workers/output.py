"""Raw output of a training process, as log lines: plain text, cut to size, and no faster than a person could use.

Always takes all that comes, so that a flood never blocks the trainer; says how much it left out.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

MAX_LINE_BYTES = 8 * 1024
LINES_A_SECOND = 200
BYTES_A_SECOND = 64 * 1024
ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b.?", re.DOTALL)
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
CUT = " … (truncated)"


def plain(text: str) -> str:
    """One line without terminal escapes and control characters; of an overwritten line the last state."""
    return CONTROLS.sub("", ESCAPES.sub("", text.rstrip("\r\n").rsplit("\r", 1)[-1])).rstrip()


class OutputLines:
    """Bytes in, lines out through `say`."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say, self._clock = say, clock
        self._line = bytearray()
        self._cut = False
        self._second = clock()
        self._lines = self._bytes = self._left_out_bytes = 0

    def feed(self, chunk: bytes) -> None:
        first, *rest = chunk.split(b"\n")
        self._append(first)
        for part in rest:
            self._end_line()
            self._append(part)

    def finish(self) -> None:
        """The process is gone: what has no line end yet is a line too."""
        if self._line:
            self._end_line()
        self._tell_left_out()

    def _append(self, part: bytes) -> None:
        overwritten = part.rfind(b"\r", 0, len(part) - 1)
        if overwritten >= 0:
            self._line.clear()
            self._cut = False
            part = part[overwritten + 1 :]
        room = MAX_LINE_BYTES - len(self._line)
        self._line += part[:room]
        if len(part) > room:
            self._cut = True
            self._left_out_bytes += len(part) - room

    def _end_line(self) -> None:
        text = plain(self._line.decode(errors="replace"))
        size, cut = len(self._line), self._cut
        self._line.clear()
        self._cut = False
        if cut:
            self._left_out_bytes = 0  # the mark on the line says it
            text += CUT
        if not text:
            return
        if self._has_room(size):
            self._say(text)
        else:
            self._left_out_bytes += size

    def _has_room(self, size: int) -> bool:
        if self._clock() - self._second >= 1:
            self._second = self._clock()
            self._lines = self._bytes = 0
            self._tell_left_out()
        self._lines += 1
        self._bytes += size
        return self._lines <= LINES_A_SECOND and self._bytes <= BYTES_A_SECOND

    def _tell_left_out(self) -> None:
        if self._left_out_bytes:
            self._say(f"… {self._left_out_bytes:,} bytes of output left out here: too much in one second (truncated)")
            self._left_out_bytes = 0
