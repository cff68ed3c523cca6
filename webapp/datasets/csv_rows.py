"""Rows out of CSV and its relatives: the delimiter is found, physical lines are kept, open quotes are caught."""

from __future__ import annotations

import codecs
import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from webapp.datasets.json_rows import Row
from webapp.datasets.limits import Limits
from webapp.datasets.problems import Problems, Refused
from webapp.datasets.sniffing import decode_line

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
SAMPLE_LINES = 30


@dataclass
class CsvFile:
    """One CSV file while it is read."""

    path: Path
    problems: Problems
    limits: Limits
    delimiter: str = ","
    line: int = 0
    """Physical line that was handed to the parser last."""

    @property
    def format(self) -> str:
        return f"CSV, delimiter {DELIMITERS[self.delimiter]}"

    def rows(self) -> Iterator[Row]:
        """Good rows with the line each starts on. Raises Refused where reading on makes no sense."""
        csv.field_size_limit(self.limits.field_characters)
        first = self._find_delimiter()
        with self.path.open("rb") as file:
            reader = csv.reader(self._text(file, first), delimiter=self.delimiter, strict=True)
            header = self._header(reader)
            yield from self._data(reader, header)

    def _find_delimiter(self) -> int:
        """Sets the delimiter; answers with the number of lines to pass over (`sep=;`)."""
        with self.path.open("rb") as file:
            sample = [file.readline(64 * 1024) for _ in range(SAMPLE_LINES)]
        lines = [line.decode("utf-8", "replace") for line in sample if line.strip()]
        lines[0] = lines[0].removeprefix("\ufeff")
        if lines[0].lower().startswith("sep=") and lines[0].strip()[4:] in DELIMITERS:
            self.delimiter = lines[0].strip()[4:]
            self.problems.notice("separator_line", f"The first line names the delimiter: {DELIMITERS[self.delimiter]}.")
            return 1
        self.delimiter = max(DELIMITERS, key=lambda each: _consistency(lines, each))
        return 0

    def _text(self, file: IO[bytes], skip: int) -> Iterator[str]:
        """Decoded lines with their ends; a line that is not UTF-8 ends the reading, since quotes may span lines."""
        while line := file.readline(self.limits.line_bytes + 1):
            self.line += 1
            if self.line == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
            if self.line <= skip:
                continue
            if len(line) > self.limits.line_bytes:
                limit = self.limits.line_bytes // 1024**2
                message = f"Line {self.line:,} is over {limit} MiB."
                raise self.problems.refuse("line_too_long", message, "Is this a CSV file?", line=self.line)
            yield self._clean(line)

    def _clean(self, line: bytes) -> str:
        if b"\0" in line:
            message = f"Line {self.line:,} holds a NUL character."
            raise self.problems.refuse("nul_char", message, "Remove the NUL characters.", line=self.line)
        text = decode_line(line, self.line, self.problems)
        if text is None:
            raise Refused("not UTF-8")
        if any(c < " " and c not in "\t\r\n" for c in text):
            message = f"Line {self.line:,} holds a control character."
            raise self.problems.refuse("control_char", message, "Remove it.", line=self.line, excerpt=text)
        return text

    def _next(self, reader: Iterator[list[str]]) -> tuple[int, list[str]] | None:
        """The next record and its first line; None at the end. Refuses what the parser cannot read."""
        start = self.line + 1
        try:
            return start, next(reader)
        except StopIteration:
            return None
        except csv.Error as error:
            raise self._refusal(str(error), start) from error

    def _refusal(self, said: str, start: int) -> Refused:
        if "unexpected end of data" in said:
            message = f"The quote opened on line {start:,} never closes."
            hint = 'Close it; a quote inside quoted text is written twice: "".'
            return self.problems.refuse("unclosed_quote", message, hint, line=start)
        if "field larger" in said:
            limit = self.limits.field_characters // 1024**2
            message = f"A value that starts on line {start:,} is over {limit} MiB. Did a quote stay open?"
            return self.problems.refuse("field_too_long", message, "Close the quote, or cut the text.", line=start)
        message = f"Line {self.line:,}: text follows a closing quote."
        hint = 'A quote inside quoted text is written twice: "".'
        return self.problems.refuse("stray_quote", message, hint, line=self.line)

    def _header(self, reader: Iterator[list[str]]) -> list[str]:
        found = self._next(reader)
        while found is not None and not any(found[1]):
            found = self._next(reader)
        if found is None:
            raise self.problems.refuse("empty_file", "The file is empty.", "Upload a file with rows in it.")
        line, names = found
        names = [name.strip() for name in names]
        if len(names) > self.limits.columns:
            message = f"{len(names):,} columns; the limit is {self.limits.columns:,}."
            raise self.problems.refuse("too_many_columns", message, "Keep the columns you need.", line=line)
        self._check_names(names, line)
        return names

    def _check_names(self, names: list[str], line: int) -> None:
        for place, name in enumerate(names, start=1):
            if not name:
                message = f"Column {place} has no name in the header."
                self.problems.error("empty_column_name", message, "Give it a name.", line=line, column=place)
            elif name in names[: place - 1]:
                message = f"The column `{name[:60]}` stands twice, at {names.index(name) + 1} and {place}."
                self.problems.error("duplicate_column", message, "Rename one.", line=line, column=place, field=name)
        if self.problems.fatal:
            raise Refused("header")

    def _data(self, reader: Iterator[list[str]], header: list[str]) -> Iterator[Row]:
        row = blank = 0
        while (found := self._next(reader)) is not None:
            line, values = found
            if not values:
                blank += 1
                continue
            row += 1
            if len(values) == len(header):
                yield line, row, dict(zip(header, values, strict=True))
            else:
                self._ragged(line, row, values, len(header))
        if blank:
            self.problems.notice("blank_lines", f"{blank:,} blank lines were passed over.", count=blank)

    def _ragged(self, line: int, row: int, values: list[str], wanted: int) -> None:
        found = f"{len(values)} value{'s' if len(values) != 1 else ''}"
        few = len(values) < wanted
        hint = "Is a delimiter or a line missing?" if few else "A comma inside text must be in quotes."
        self.problems.error(
            "ragged_row",
            f"Row {row:,} has {found} but the header has {wanted}.",
            hint,
            line=line,
            row=row,
            column=min(len(values), wanted) + 1,
            excerpt=self.delimiter.join(values),
        )


def _consistency(lines: list[str], delimiter: str) -> tuple[float, int]:
    """How many sample records agree on a column count above one, then that count."""
    try:
        counts = Counter(len(record) for record in csv.reader(lines, delimiter=delimiter) if record)
    except csv.Error:
        return 0.0, 0
    width, agreeing = max(counts.items(), key=lambda item: (item[1], item[0]))
    header = len(next(csv.reader(lines[:1], delimiter=delimiter), []))
    if header < 2:
        return 0.0, 0
    return (agreeing / sum(counts.values()) if width > 1 else 0.1), header
