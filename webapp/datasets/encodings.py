"""Text that is not UTF-8: where it is, what it may be, and how it reads in each encoding that a person may choose.

Nothing is converted without that choice; only UTF-16 that says so by its mark is read as such.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from webapp.datasets.problems import Problems, visible

SAVE_UTF8 = "Open it in an editor and save it with the encoding UTF-8."
CHOICES = {
    "windows-1252": "Windows-1252",
    "iso-8859-1": "Latin-1",
    "iso-8859-2": "Latin-2",
    "windows-1251": "Windows-1251 (Cyrillic)",
    "koi8-r": "KOI8-R (Cyrillic)",
    "gb18030": "GBK / GB18030",
    "big5": "Big5",
    "shift_jis": "Shift-JIS",
    "euc-jp": "EUC-JP",
    "euc-kr": "EUC-KR",
    "utf-16-le": "UTF-16, little end first",
    "utf-16-be": "UTF-16, big end first",
}
"""Encodings that a file can be converted from, as Python and as people name them."""
WHOLE = ("utf-16-le", "utf-16-be")
"""Those that cannot be read line by line."""
DOUBLE_BYTE = ("gb18030", "big5", "shift_jis", "euc-jp", "euc-kr")
THREE_BYTES = "\u0800"
"""Short East Asian words in those can happen to be UTF-8 as well, but then read as letters below this one; East Asian
text in real UTF-8 has letters above it."""
CODE_PAGE_LETTERS = set(range(0xC0, 0x100)) - {0xD7, 0xF7} | {0x80, 0x85, 0x91, 0x92, 0x93, 0x94, 0x96, 0x97}
SHOWN_LINES, SHOWN_CHARACTERS = 20, 120


@dataclass
class Decoder:
    """Decodes lines: as UTF-8, else in the encoding that was chosen, else noting why not."""

    problems: Problems
    encoding: str = ""
    samples: list[tuple[int, bytes]] = field(default_factory=list)
    """The first lines that are not UTF-8, for the preview of a conversion."""

    def line(self, line: bytes, number: int, row: int | None) -> str | None:
        """The line as text; None after noting why it is not."""
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            return self._other(line, number, row, error)
        if self.encoding in DOUBLE_BYTE and not line.isascii() and max(text) < THREE_BYTES:
            return self._rather_double_byte(line, number, row) or text
        return text

    def _rather_double_byte(self, line: bytes, number: int, row: int | None) -> str | None:
        """The line in the encoding that was chosen, though it happens to be UTF-8, too."""
        try:
            text = line.decode(self.encoding)
        except UnicodeDecodeError:
            return None
        self._note_converted(number, row)
        return text

    def _note_converted(self, number: int, row: int | None) -> None:
        message = f"Line {number:,} was converted from {CHOICES[self.encoding]}, as chosen."
        self.problems.notice("converted", message, line=number, row=row)

    def _other(self, line: bytes, number: int, row: int | None, error: UnicodeDecodeError) -> str | None:
        if self.encoding and self.encoding not in WHOLE:
            try:
                text = line.decode(self.encoding)
            except UnicodeDecodeError as other:
                error = other
            else:
                self._note_converted(number, row)
                return text
        if len(self.samples) < SHOWN_LINES:
            self.samples.append((number, line[:4096]))
        self._note(line, number, row, error)
        return None

    def _note(self, line: bytes, number: int, row: int | None, error: UnicodeDecodeError) -> None:
        guess = _guess(line)
        wanted = CHOICES[self.encoding] if self.encoding else "UTF-8"
        message = f"Line {number:,}, byte 0x{line[error.start]:02X} is not {wanted}"
        message += f"; the file looks like {guess}." if guess and not self.encoding else "."
        shown = line[max(0, error.start - 30) : error.start + 30].decode("utf-8", "backslashreplace")
        hint = "Save the file with the encoding UTF-8, or choose the encoding it has."
        self.problems.error("not_utf8", message, hint, line=number, row=row, column=error.start + 1, excerpt=shown)

    def offers(self) -> list[dict[str, Any]]:
        """Per encoding in which all sampled lines can be read: how they would read."""
        found: list[dict[str, Any]] = []
        for encoding, name in CHOICES.items():
            try:
                lines = [
                    {"line": number, "text": visible(raw.strip().decode(encoding), SHOWN_CHARACTERS)}
                    for number, raw in self.samples
                    if encoding not in WHOLE
                ]
            except UnicodeDecodeError:
                continue
            if lines:
                found.append({"value": encoding, "name": name, "changes": lines})
        return found


def _guess(line: bytes) -> str:
    """Windows-1252 where few bytes are high and each would be a Latin letter or a usual sign; else no guess."""
    high = [byte for byte in line if byte >= 0x80]
    return "Windows-1252" if set(high) <= CODE_PAGE_LETTERS and len(high) < 0.3 * len(line) else ""


def convert(source: Path, encoding: str, target: Path, problems: Problems) -> None:
    """The whole file in UTF-8. Raises Refused where it is not what it seemed."""
    line = 1
    try:
        with source.open(encoding=encoding, newline="") as old, target.open("w", encoding="utf-8", newline="") as new:
            while chunk := old.read(1024 * 1024):
                new.write(chunk.removeprefix("\ufeff"))
                line += chunk.count("\n")
    except UnicodeError as error:
        message = f"The file starts like UTF-16, but after line {line:,} it is not."
        hint = f"Was it cut short? {SAVE_UTF8}"
        raise problems.refuse("not_utf8", message, hint) from error
