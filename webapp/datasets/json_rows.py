"""Rows out of JSONL, line by line, or out of one JSON array; what a line has wrong is said with its place."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from webapp.datasets.limits import Limits
from webapp.datasets.problems import Problems, Refused
from webapp.datasets.sniffing import decode_line

KIND_WORDS = {
    dict: "an object",
    list: "an array",
    str: "text",
    bool: "true or false",
    int: "a number",
    float: "a number",
}
Row = tuple[int | None, int, dict[str, Any]]
"""Physical line (None in an array), data row from 1, values."""


class _Found(Exception):
    """A value that JSON's grammar allows and we do not: code, message, hint."""

    def __init__(self, code: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.code, self.message, self.hint = code, message, hint


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise _Found("duplicate_key", f"the key `{twice[:60]}` stands twice", "Keep one of them.")
    return made


def _constant(word: str) -> Any:
    raise _Found("not_a_number", f"{word} is not a number that JSON knows", "Use null, or leave the field out.")


def _whole(digits: str) -> int:
    if len(digits.lstrip("-")) > 19 or not -(2**63) <= int(digits) < 2**63:
        message = f"a number has {len(digits.lstrip('-')):,} digits; the limit is 64-bit"
        raise _Found("number_too_large", message, "Put it in quotes to keep it as text.")
    return int(digits)


def _decimal(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise _Found(
            "number_too_large", f"{text[:40]} is too large for a number", "Put it in quotes to keep it as text."
        )
    return value


DECODER = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_constant=_constant, parse_int=_whole, parse_float=_decimal, strict=True
)


def json_lines(path: Path, problems: Problems, limits: Limits) -> Iterator[Row]:
    """Good rows with their line; problems are noted. Raises Refused where reading on makes no sense."""
    row = blank = 0
    with path.open("rb") as file:
        for number, line in enumerate(_lines(file, problems, limits), start=1):
            if number == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
            stripped = line.strip(b" \t\r\n")
            if not stripped:
                blank += 1
                continue
            row += 1
            last = not line.endswith(b"\n")
            value = _read_line(stripped, number, row, last, problems, limits)
            if value is not None:
                yield number, row, value
    if blank:
        problems.notice("blank_lines", f"{blank:,} blank lines were passed over.", count=blank)


def _lines(file: Any, problems: Problems, limits: Limits) -> Iterator[bytes]:
    """Lines cut at \\n only, so that U+2028 stays inside its text."""
    number = 0
    while line := file.readline(limits.line_bytes + 1):
        number += 1
        if len(line) > limits.line_bytes:
            limit = limits.line_bytes // 1024**2
            raise problems.refuse(
                "line_too_long",
                f"Line {number:,} is over {limit} MiB.",
                "Write one row a line, and cut very long texts.",
                line=number,
            )
        yield line


def _read_line(
    line: bytes, number: int, row: int, last: bool, problems: Problems, limits: Limits
) -> dict[str, Any] | None:
    if b"\0" in line:
        _note(problems, "nul_char", "a NUL character stands in it", "Remove the NUL characters.", number, row, "")
        return None
    text = decode_line(line, number, problems)
    if text is None:
        problems.bad_rows.add(row)
        return None
    try:
        value = DECODER.decode(text)
    except _Found as found:
        _note(problems, found.code, found.message, found.hint, number, row, text)
        return None
    except RecursionError:
        _too_deep(problems, number, row, limits)
        return None
    except json.JSONDecodeError as error:
        _explain(error, text, number, row, last, problems)
        return None
    return _checked(value, number, row, text, problems, limits)


def _note(
    problems: Problems, code: str, what: str, hint: str, line: int | None, row: int, text: str, **where: Any
) -> None:
    place = f"Line {line:,}" if line else f"Row {row:,}"
    problems.error(code, f"{place}: {what}.", hint, line=line, row=row, excerpt=text or None, **where)


def _too_deep(problems: Problems, line: int | None, row: int, limits: Limits) -> None:
    place = f"Line {line:,}" if line else f"Row {row:,}"
    message = f"{place} is nested deeper than {limits.depth}."
    problems.error("too_deep", message, "Write the row as an object with plain fields.", line=line, row=row)


def _explain(error: json.JSONDecodeError, text: str, line: int, row: int, last: bool, problems: Problems) -> None:
    """Which of the usual mistakes it is, in a sentence."""
    rest, before = text[error.pos :].lstrip(), text[: error.pos].rstrip()
    cut = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string")
    column = error.pos + 1
    if error.msg == "Extra data" and rest[:1] == "{":
        _note(
            problems,
            "jsonl_two_values",
            "two objects stand on it",
            "Write one object a line.",
            line,
            row,
            text,
            column=column,
        )
    elif (rest[:1] in ("}", "]") and before.endswith(",")) or (before.endswith((",}", ",]"))):
        brace = "brace" if "}" in (rest[:1] or before[-1:]) else "bracket"
        what = f"a comma stands before the closing {brace}"
        _note(problems, "json_syntax", what, "Remove the comma.", line, row, text, column=column)
    elif cut and last:
        message = f"Line {line:,} ends in the middle of a value; was the upload or export cut short?"
        hint = "Export the file again, or remove the last line."
        problems.error("truncated", message, hint, line=line, row=row, column=column, excerpt=text[-80:])
    elif (cut and text.strip() in ("{", "[")) or (cut and row == 1):
        raise problems.refuse(
            "jsonl_multiline",
            f"Line {line:,} holds only a part of an object. Write one object a line.",
            "Save without indentation, one object a line.",
            line=line,
            row=row,
            excerpt=text,
        )
    else:
        what, hint = _syntax(error)
        _note(problems, "json_syntax", what, hint, line, row, text, column=column)


SYNTAX = (
    ("Invalid control character", "a raw control character stands inside text", "Write it as an escape such as \\n."),
    ("Expecting property name", "a key in double quotes is missing", 'Write keys like "text", in double quotes.'),
    ("Expecting ':'", "a colon is missing after a key", "Put a colon between key and value."),
    (
        "Expecting ','",
        "a comma is missing between two values",
        'Put a comma there; quotes inside text are written \\".',
    ),
    ("Invalid \\", "an escape is not valid", "A backslash in text is written twice."),
    ("Unterminated string", "a text has no closing quote", "Close the quote on the same line."),
    ("Extra data", "something stands after the object", "Write one object a line."),
)


def _syntax(error: json.JSONDecodeError) -> tuple[str, str]:
    for start, what, hint in SYNTAX:
        if error.msg.startswith(start):
            return what, hint
    return "it is not valid JSON", 'Write each row as one object, like {"text": "…", "label": "…"}.'


def _checked(
    value: Any, line: int | None, row: int, text: str, problems: Problems, limits: Limits
) -> dict[str, Any] | None:
    """The value if it is an object of plain, storable content."""
    if not isinstance(value, dict):
        kind = KIND_WORDS.get(type(value), "null")
        place = f"Line {line:,}" if line else f"Row {row:,}"
        message = f"{place} is {kind}; each line must be an object."
        hint = 'Write {"text": "…", "label": "…"}.'
        problems.error("not_an_object", message, hint, line=line, row=row, excerpt=text)
        return None
    if len(value) > limits.columns:
        raise problems.refuse(
            "too_many_columns",
            f"{len(value):,} columns; the limit is {limits.columns:,}.",
            "Keep those you need.",
            line=line,
        )
    for name, each in value.items():
        try:
            fault = _fault(each, limits.depth)
        except RecursionError:
            fault = "deep"
        if fault == "deep":
            _too_deep(problems, line, row, limits)
            return None
        if fault:
            what = {"nul": "a NUL character", "surrogate": "half of a surrogate pair"}[fault]
            code = {"nul": "nul_char", "surrogate": "bad_unicode_escape"}[fault]
            _note(problems, code, f"`{name}` holds {what}", "Remove it.", line, row, text, field=name)
            return None
    return value


def _fault(value: Any, depth: int) -> str:
    """`nul`, `surrogate`, `deep`, or empty for what can be stored."""
    if depth == 0:
        return "deep"
    if isinstance(value, str):
        if "\0" in value:
            return "nul"
        return "surrogate" if any("\ud800" <= c <= "\udfff" for c in value) else ""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next((fault for each in inner if (fault := _fault(each, depth - 1))), "")


def json_array(path: Path, problems: Problems, limits: Limits) -> Iterator[Row]:
    """Rows of a file that is one array of objects; small enough to be read whole."""
    if path.stat().st_size > limits.array_bytes:
        limit = limits.array_bytes // 1024**2
        raise problems.refuse(
            "array_too_large",
            f"The file is one JSON array of over {limit} MiB.",
            "Save it as JSONL, one object a line.",
        )
    text = decode_whole(path, problems)
    try:
        value = DECODER.decode(text.strip())
    except _Found as found:
        raise problems.refuse(found.code, f"In the array {found.message}.", found.hint) from found
    except RecursionError as error:
        raise problems.refuse(
            "too_deep", f"The array is nested deeper than {limits.depth}.", "Write plain fields."
        ) from error
    except json.JSONDecodeError as error:
        what, hint = _syntax(error)
        cut = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string")
        line = text.count("\n", 0, error.pos) + 1
        code, what = ("truncated", "the file ends in the middle of a value") if cut else ("json_syntax", what)
        raise problems.refuse(code, f"Line {line:,}: {what}.", hint, line=line) from error
    problems.notice("array_read", "The file is one JSON array; its elements were read as rows.")
    for row, each in enumerate(value, start=1):
        checked = _checked(each, None, row, "", problems, limits)
        if checked is not None:
            yield None, row, checked


def decode_whole(path: Path, problems: Problems) -> str:
    lines = path.read_bytes().removeprefix(codecs.BOM_UTF8).split(b"\n")
    decoded = [decode_line(line, number, problems) for number, line in enumerate(lines, start=1)]
    if None in decoded:
        raise Refused("not UTF-8")
    return "\n".join(line for line in decoded if line is not None)
