"""Rows out of JSONL, line by line, or out of one JSON array; what a line has wrong is said with its place."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webapp.datasets.encodings import Decoder
from webapp.datasets.fast_json import usual_row
from webapp.datasets.json_faults import (
    DECODER,
    EXAMPLE,
    KIND_WORDS,
    Fault,
    Unkept,
    content_fault,
    deep_fault,
    ends_early,
    syntax_fault,
    without_nul,
)
from webapp.datasets.limits import MIB, Limits
from webapp.datasets.lines import Lines
from webapp.datasets.problems import Problems, Refused

Row = tuple[int | None, int, dict[str, Any]]
"""Physical line it starts on (None where a file has no lines), data row from 1, values."""
SPACE = re.compile(r"[ \t\r\n]*")


@dataclass
class JsonFile:
    """One file of JSON objects while it is read."""

    path: Path
    problems: Problems
    limits: Limits
    decoder: Decoder
    in_array: bool = False

    def lines(self) -> Iterator[Row]:
        """Good rows of JSONL; problems are noted. Raises Refused where reading on makes no sense."""
        lines = Lines(self.path, self.problems, self.limits.line_bytes)
        row = blank = 0
        for line in lines:
            stripped = line.strip(b" \t\r\n")
            if not stripped:
                blank += 1
                continue
            row += 1
            value = usual_row(stripped, self.limits.depth)
            if value is None or len(value) > self.limits.columns:
                text = self._text(stripped, lines.number, row)
                value = None if text is None else self._value(text, lines.number, row, lines.at_end)
            if value is not None:
                yield lines.number, row, value
        lines.conclude(blank)

    def _text(self, line: bytes, number: int, row: int) -> str | None:
        if b"\0" in line and self.strips_nul:
            line = line.replace(b"\0", b"")
            self.problems.notice("nul_stripped", f"Line {number:,}: NUL characters were removed.", line=number, row=row)
        if b"\0" in line:
            fault = Fault("nul_char", "a NUL character stands in it", "Remove the NUL characters.")
            self._note(fault, number, row, line.decode("utf-8", "replace"))
            return None
        return self.decoder.line(line, number, row)

    @property
    def strips_nul(self) -> bool:
        return self.problems.chosen.get("nul_char") == "strip_nul"

    def _value(self, text: str, line: int, row: int, last: bool) -> dict[str, Any] | None:
        try:
            value = DECODER.decode(text)
        except Unkept as unkept:
            self._note(unkept.fault, line, row, text)
        except RecursionError:
            self._note(deep_fault(self.limits.depth), line, row, text)
        except json.JSONDecodeError as error:
            self._broken(error, text, line, row, last)
        else:
            return self._kept(value, text, line, row)
        return None

    def _note(self, fault: Fault, line: int, row: int, text: str, final: bool = False) -> None:
        verb = " " if fault.code == "too_deep" else ": "
        message = f"Line {line:,}{verb}{fault.what}."
        place = {"line": line, "row": row, "column": fault.column, "field": fault.field}
        excerpt = _around(text, fault.column)
        self.problems.error(fault.code, message, fault.hint, final=final, **place, excerpt=excerpt)

    def _broken(self, error: json.JSONDecodeError, text: str, line: int, row: int, last: bool) -> None:
        """A line that is not JSON: cut off at the end of the file, spread over lines, or one of the usual mistakes."""
        early, column = ends_early(error, text), error.pos + 1
        if early and last:
            message = f"Line {line:,} ends in the middle of a value; was the upload or export cut short?"
            hint = "Export the file again, or remove the last line."
            self.problems.error("truncated", message, hint, line=line, row=row, column=column, excerpt=text[-80:])
        elif early and (row == 1 or text in ("{", "[")):
            message = f"Line {line:,} holds only a part of an object. Write one object a line."
            hint = "Save without indentation, one object a line."
            raise self.problems.refuse("jsonl_multiline", message, hint, line=line, row=row, excerpt=text)
        else:
            self._note(syntax_fault(error, text), line, row, text)

    def _kept(self, value: Any, text: str, line: int, row: int) -> dict[str, Any] | None:
        """The value, if it is an object of content that can be stored."""
        if not isinstance(value, dict):
            kind = KIND_WORDS[type(value)]
            message = f"Line {line:,} is {kind}; each line must be an object."
            if self.in_array:
                message = f"Row {row:,} is {kind}; each element must be an object."
            self.problems.error("not_an_object", message, f"Write {EXAMPLE}.", line=line, row=row, excerpt=text[:90])
            return None
        if len(value) > self.limits.columns:
            message = f"Line {line:,} has {len(value):,} columns; the limit is {self.limits.columns:,}."
            raise self.problems.refuse("too_many_columns", message, "Keep those you need.", line=line, row=row)
        try:
            fault = content_fault(value, text, self.limits.depth)
        except RecursionError:
            fault = deep_fault(self.limits.depth)
        if fault is None:
            return value
        if fault.code == "nul_char" and self.strips_nul:
            self.problems.notice("nul_stripped", f"Line {line:,}: NUL characters were removed.", line=line, row=row)
            stripped: dict[str, Any] = without_nul(value)
            return stripped
        self._note(fault, line, row, text)
        return None

    # ---- One array ---------------------------------------------------------------------------------

    def elements(self) -> Iterator[Row]:
        """Rows of a file that is one array of objects: its text is held, its elements are not."""
        self.in_array, text = True, self._whole()
        self.problems.notice("array_read", "The file is one JSON array; its elements were read as rows.")
        place, line, row, counted = _skip(text, text.index("[") + 1), 1, 0, 0
        while text[place : place + 1] != "]":
            line, counted = line + text.count("\n", counted, place), place
            row += 1
            value, end = self._element(text, place, line, row)
            kept = self._kept(value, text[place:end], line, row)
            if kept is not None:
                yield line, row, kept
            place = self._after(text, _skip(text, end), row)
        if _skip(text, place + 1) < len(text):
            message = "Something stands after the end of the array."
            raise self.problems.refuse("json_syntax", message, "Keep one array, or write one object a line.")

    def _whole(self) -> str:
        size = self.path.stat().st_size
        if size > self.limits.array_bytes:
            limit = self.limits.array_bytes // MIB
            message = f"The file is one JSON array of {size / MIB:,.0f} MiB; the limit for arrays is {limit:,} MiB."
            raise self.problems.refuse("array_too_large", message, "Save it as JSONL, one object a line.")
        content = self.path.read_bytes().removeprefix(codecs.BOM_UTF8)
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError as error:
            lines = [self.decoder.line(line, number, None) for number, line in enumerate(content.split(b"\n"), 1)]
            if None in lines:
                raise Refused("not UTF-8") from error
            return "\n".join(line or "" for line in lines)

    def _element(self, text: str, place: int, line: int, row: int) -> tuple[Any, int]:
        """One value and where it ends. Raises Refused where the text is broken: the rest cannot be found then."""
        try:
            return DECODER.raw_decode(text, place)
        except Unkept as unkept:
            fault = unkept.fault
        except RecursionError:
            fault = deep_fault(self.limits.depth)
        except json.JSONDecodeError as error:
            if ends_early(error, text):
                raise self._cut(text) from error
            line += text.count("\n", place, error.pos)
            fault = _on_its_line(syntax_fault(error, text), text)
        self._note(fault, line, row, text[place : place + 90], final=True)
        raise Refused(fault.what)

    def _after(self, text: str, place: int, row: int) -> int:
        """Past the comma after an element, or at the closing bracket."""
        following = text[place : place + 1]
        if following == "]":
            return place
        if not following:
            raise self._cut(text)
        after = _skip(text, place + 1)
        if following == "," and text[after : after + 1] != "]":
            return after
        line = text.count("\n", 0, place) + 1
        what, hint = "a comma stands before the closing bracket", "Remove the comma."
        if following != ",":
            what, hint = "a comma is missing between two elements", "Put a comma there."
        raise self.problems.refuse("json_syntax", f"Line {line:,}: {what}.", hint, line=line, row=row)

    def _cut(self, text: str) -> Refused:
        line = text.rstrip().count("\n") + 1
        message = f"Line {line:,} ends in the middle of a value; was the upload or export cut short?"
        return self.problems.refuse("truncated", message, "Export the file again.", line=line, excerpt=text[-80:])


def _skip(text: str, place: int) -> int:
    found = SPACE.match(text, place)
    return found.end() if found else place


def _on_its_line(fault: Fault, text: str) -> Fault:
    """The fault with its column counted from the start of its physical line."""
    column = (fault.column or 1) - 1 - (text.rfind("\n", 0, (fault.column or 1) - 1) + 1) + 1
    return Fault(fault.code, fault.what, fault.hint, fault.field, column)


def _around(text: str, column: int | None) -> str:
    """The part of a line that shows the place."""
    start = max(0, (column or 1) - 41) if len(text) > 80 else 0
    return text[start : start + 81]
