"""Rows out of CSV and its relatives: finds the delimiter, keeps physical lines, catches quotes that swallow."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from webapp.datasets.choices import DELIMITERS
from webapp.datasets.encodings import Decoder
from webapp.datasets.header import renamed
from webapp.datasets.json_rows import Row
from webapp.datasets.limits import MIB, Limits
from webapp.datasets.lines import Lines
from webapp.datasets.problems import Problems, Refused
from webapp.datasets.quotes import opening_line

SAMPLE_LINES = 30
NAME_AT_MOST = 60
CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")
DOUBLE = 'A quote inside quoted text is written twice: "".'


@dataclass
class CsvFile:
    """One CSV file while it is read."""

    path: Path
    problems: Problems
    limits: Limits
    decoder: Decoder
    delimiter: str = ","
    asked_delimiter: str = ""
    """Given by a person; else it is found."""
    asked_header: str = ""
    """`first`: the first line names the columns. `none`: it is a row. `look`: find out. Left out: it names them."""
    headless: bool = False
    """The first line was taken for a row; the columns are called column_1, column_2 …"""
    lines: Lines = field(init=False)
    row: int = -1
    """Data row given last; -1 before the header is read."""
    spoilt: bool = False
    """The record that is being read has a line that could not be read as it is."""

    def __post_init__(self) -> None:
        self.lines = Lines(self.path, self.problems, self.limits.line_bytes)

    @property
    def format(self) -> str:
        return f"CSV, delimiter {DELIMITERS[self.delimiter]}"

    def rows(self) -> Iterator[Row]:
        """Good rows with the line each starts on. Raises Refused where reading on makes no sense."""
        csv.field_size_limit(self.limits.field_characters)
        skipped = self._find_delimiter()
        reader = csv.reader(self._text(skipped), delimiter=self.delimiter, strict=True)
        found = self._first(reader)
        self.headless = self.asked_header == "none" or (self.asked_header == "look" and self._looks_headless(found[1]))
        if not self.headless:
            yield from self._data(reader, self._checked_names([name.strip() for name in found[1]], found[0]))
            return
        self.row = 0
        names = [f"column_{place}" for place in range(1, len(found[1]) + 1)]
        yield from self._data(reader, names, found)

    def _find_delimiter(self) -> int:
        """Sets the delimiter; answers with the number of lines to pass over (`sep=;`)."""
        lines = self._sample()
        named = lines[0].strip("\r\n")[4:] if lines and lines[0].lower().startswith("sep=") else ""
        if named in DELIMITERS:
            self.delimiter = named
            message = f"The first line names the delimiter: {DELIMITERS[named]}. It was not taken as the header."
            self.problems.notice("separator_line", message, line=1)
            return 1
        self.delimiter = self.asked_delimiter or max(DELIMITERS, key=lambda each: _agreement(lines, each))
        return 0

    def _sample(self) -> list[str]:
        sample: list[str] = []
        for line in Lines(self.path, Problems(""), self.limits.line_bytes):
            if line.strip():
                sample.append(line[: 64 * 1024].decode("utf-8", "replace"))
            if len(sample) == SAMPLE_LINES:
                break
        return sample

    def _text(self, skipped: int) -> Iterator[str]:
        """Decoded lines with their ends; of a bad line, a readable form, so that quotes still pair up."""
        for line in self.lines:
            if self.lines.number <= skipped:
                continue
            if CONTROL.search(line):
                line = self._without_control(line)
            text = self.decoder.line(line, self.lines.number, self.row + 1 or None)
            if text is None:
                self.spoilt = True
                text = line.decode("utf-8", "replace")
            yield text

    def _without_control(self, line: bytes) -> bytes:
        """A readable form of the line; NUL is taken out for good where that was chosen, all else is noted."""
        number = self.lines.number
        if b"\0" in line and self.problems.chosen.get("nul_char") == "strip_nul":
            message = f"Line {number:,}: NUL characters were removed."
            self.problems.notice("nul_stripped", message, line=number, row=self.row + 1 or None)
            line = line.replace(b"\0", b"")
        if CONTROL.search(line):
            self._note_control(line)
        return CONTROL.sub(b"?", line)

    def _note_control(self, line: bytes) -> None:
        code, what = ("nul_char", "a NUL character") if b"\0" in line else ("control_char", "a control character")
        message = f"Line {self.lines.number:,} holds {what}."
        shown = line[:90].decode("utf-8", "replace")
        self.problems.error(
            code, message, "Remove it.", line=self.lines.number, row=self.row + 1 or None, excerpt=shown
        )
        self.spoilt = True

    def _next(self, reader: Iterator[list[str]]) -> tuple[int, list[str]] | None:
        """The next record and its first line; None at the end. Refuses what the parser cannot read."""
        start = self.lines.number + 1
        self.spoilt = False
        try:
            return start, next(reader)
        except StopIteration:
            return None
        except csv.Error as error:
            raise self._refusal(str(error), start) from error

    def _refusal(self, said: str, start: int) -> Refused:
        """Messages of the parser are read for their kind only; the place is found by a pass of our own."""
        now = self.lines.number
        opened = opening_line(self.path, self.delimiter, start, now)
        row = self.row + 1 or None
        place = {"line": opened, "row": row}
        if "unexpected end of data" in said:
            message = f"The quote opened on line {opened:,} never closes."
            return self.problems.refuse("unclosed_quote", message, f"Close it. {DOUBLE}", **place)
        if "field larger" in said:
            message = f"A value that starts on line {opened:,} is over {self._field_limit()}. Did a quote stay open?"
            return self.problems.refuse("field_too_long", message, "Close the quote, or cut the text.", **place)
        if opened < now:
            message = f"The quote opened on line {opened:,} meets its next quote on line {now:,}, amid other text."
            return self.problems.refuse("unclosed_quote", message, f"Close it on its own line. {DOUBLE}", **place)
        message = f"Line {now:,}: text follows a closing quote."
        return self.problems.refuse("stray_quote", message, DOUBLE, line=now, row=row)

    def _field_limit(self) -> str:
        limit = self.limits.field_characters
        return f"{limit // MIB} MiB" if limit >= MIB else f"{limit:,} characters"

    def _looks_headless(self, first: list[str]) -> bool:
        """Whether the first line is rather a row: it repeats, or holds numbers, sentences or what later lines hold."""
        names = [name.strip() for name in first]
        records = csv.reader(self._sample()[1:], delimiter=self.delimiter)
        try:
            later = [[cell.strip() for cell in record] for record in records if len(record) == len(names)]
        except csv.Error:
            return False
        again = any(record[place] == name for record in later for place, name in enumerate(names) if name)
        return bool(names) and (again or any(_is_no_name(name) for name in names))

    def _first(self, reader: Iterator[list[str]]) -> tuple[int, list[str]]:
        """The first record that is not blank, and its line."""
        found = self._next(reader)
        while found is not None and not any(name.strip() for name in found[1]):
            found = self._next(reader)
        if found is None:
            raise self.problems.refuse("empty_file", "The file is empty.", "Upload a file with rows in it.")
        line, names = found
        if len(names) > self.limits.columns:
            message = f"{len(names):,} columns; the limit is {self.limits.columns:,}."
            raise self.problems.refuse("too_many_columns", message, "Keep the columns you need.", line=line)
        return found

    def _checked_names(self, names: list[str], line: int) -> list[str]:
        chosen = self.problems.chosen
        names = renamed(names, self.problems, line)
        for place, name in enumerate(names, start=1):
            if not name and chosen.get("empty_column_name") == "drop_column":
                self.problems.notice("column_dropped", f"Column {place} has no name; it was left out.", line=line)
            elif not name:
                message = f"Column {place} has no name in the header."
                hint = "Give it a name, or export without the index column."
                self.problems.error("empty_column_name", message, hint, line=line, column=place)
            elif name in names[: place - 1]:
                message = f"The column `{name[:60]}` stands twice, at {names.index(name) + 1} and {place}."
                self.problems.error("duplicate_column", message, "Rename one.", line=line, column=place, field=name)
        if self.problems.fatal:
            raise Refused("header")
        self.row = 0
        return names

    def _data(
        self, reader: Iterator[list[str]], header: list[str], first: tuple[int, list[str]] | None = None
    ) -> Iterator[Row]:
        """Rows, beginning with `first` where the first line was one."""
        blank = 0
        while (found := first or self._next(reader)) is not None:
            (line, values), first = found, None
            if not values or (len(values) == 1 < len(header) and not values[0].strip()):
                blank += 1
                continue
            self.row += 1
            if len(values) != len(header):
                self._ragged(line, values, len(header))
            elif not self.spoilt:
                values_of = dict(zip(header, values, strict=True))
                values_of.pop("", None)
                yield line, self.row, values_of
        self.lines.conclude(blank)

    def _ragged(self, line: int, values: list[str], wanted: int) -> None:
        found = f"{len(values)} value{'s' if len(values) != 1 else ''}"
        name = DELIMITERS[self.delimiter]
        few = f"A {name} is missing, or a line was cut short."
        hint = few if len(values) < wanted else f"A {name} inside text must be in quotes."
        self.problems.error(
            "ragged_row",
            f"Row {self.row:,} has {found} but the {'first row' if self.headless else 'header'} has {wanted}.",
            hint,
            line=line,
            row=self.row,
            column=min(len(values), wanted) + 1,
            excerpt=self.delimiter.join(value[:90] for value in values[:90]),
        )


def _is_no_name(text: str) -> bool:
    """Numbers, sentences and long texts name no column."""
    return text.replace(".", "", 1).removeprefix("-").isdigit() or len(text) > NAME_AT_MOST or text.endswith((".", "!"))


def _agreement(lines: list[str], delimiter: str) -> tuple[float, int]:
    """Share of sample records as wide as the header, then that width; nothing where the header is not cut at all."""
    try:
        widths = [len(record) for record in csv.reader(lines, delimiter=delimiter) if record]
    except csv.Error:
        widths = [len(line.split(delimiter)) for line in lines]
    if not widths or widths[0] < 2:
        return 0.0, 0
    return 0.1 + Counter(widths)[widths[0]] / len(widths), widths[0]
