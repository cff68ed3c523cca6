"""Rows out of plain text: every line that is not blank is one row with the column `text`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from webapp.datasets.encodings import Decoder
from webapp.datasets.json_rows import Row
from webapp.datasets.limits import Limits
from webapp.datasets.lines import Lines
from webapp.datasets.problems import Problems

CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


@dataclass
class TextFile:
    """One text file while it is read."""

    path: Path
    problems: Problems
    limits: Limits
    decoder: Decoder

    def rows(self) -> Iterator[Row]:
        """Good rows; problems are noted."""
        lines = Lines(self.path, self.problems, self.limits.line_bytes)
        row = blank = 0
        for line in lines:
            content = line.rstrip(b"\r\n")
            if not content.strip():
                blank += 1
                continue
            row += 1
            text = self.decoder.line(content, lines.number, row)
            if text is not None and (text := self._checked(text, lines.number, row)):
                yield lines.number, row, {"text": text}
        lines.conclude(blank)

    def _checked(self, text: str, line: int, row: int) -> str:
        """The text; empty after noting what it holds."""
        if not CONTROL.search(text):
            return text
        if "\0" not in text:
            self.problems.error(
                "control_char",
                f"Line {line:,} holds a control character.",
                "Remove it.",
                line=line,
                row=row,
                excerpt=text,
            )
            return ""
        if self.problems.chosen.get("nul_char") == "strip_nul":
            self.problems.notice("nul_stripped", f"Line {line:,}: NUL characters were removed.", line=line, row=row)
            return text.replace("\0", "")
        message = f"Line {line:,} holds a NUL character."
        self.problems.error("nul_char", message, "Remove it.", line=line, row=row, excerpt=text)
        return ""
