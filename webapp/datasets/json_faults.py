"""Names what is wrong with a JSON text: what the grammar forbids, and what it allows but we cannot keep."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

KIND_WORDS = {
    dict: "an object",
    list: "an array",
    str: "text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    type(None): "null",
}
FIELD_WORDS = KIND_WORDS | {list: "a list"}
EXAMPLE = '{"text": "…", "label": "…"}'
INTEGER_DIGITS = 19


@dataclass(frozen=True)
class Fault:
    """A code, what is wrong as the end of a sentence that began with the place, and what to do."""

    code: str
    what: str
    hint: str
    field: str | None = None
    column: int | None = None
    """Character in the line, from 1."""


class Unkept(Exception):
    """Raised by the decoder's hooks for a value that JSON's grammar allows and we do not."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.what)
        self.fault = fault


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) == len(pairs):
        return made
    seen: set[str] = set()
    twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
    raise Unkept(Fault("duplicate_key", f"the key `{twice[:60]}` stands twice", "Keep one of them.", twice))


def _constant(word: str) -> Any:
    what = f"{word} is not a number that JSON knows"
    raise Unkept(Fault("not_a_number", what, "Use null, or leave the field out."))


AS_TEXT = "Put it in quotes to keep it as text."


def _whole(digits: str) -> int:
    length = len(digits.lstrip("-"))
    if length > INTEGER_DIGITS or not -(2**63) <= int(digits) < 2**63:
        what = f"a number has {length:,} digits; the limit is 64-bit"
        raise Unkept(Fault("number_too_large", what, AS_TEXT))
    return int(digits)


def _decimal(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise Unkept(Fault("number_too_large", f"{text[:40]} is too large for a number", AS_TEXT))
    return value


DECODER = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_constant=_constant, parse_int=_whole, parse_float=_decimal, strict=True
)
VALUE = re.compile(r'[{\["\d-]|true|false|null')
TRAILING = re.compile(r"\s*,\s*([}\]])")


def syntax_fault(error: json.JSONDecodeError, text: str) -> Fault:
    """Which of the usual mistakes it is. Messages differ between Pythons, so the text around the place decides."""
    column, rest = error.pos + 1, text[error.pos :]
    comma = _comma_before_brace(text, error.pos)
    if comma:
        brace = "brace" if comma == "}" else "bracket"
        return Fault("json_syntax", f"a comma stands before the closing {brace}", "Remove the comma.", column=column)
    if error.msg.startswith("Extra data"):
        return _extra(rest, column)
    if ends_early(error, text):
        what = "it ends in the middle of a value"
        hint = "Write each row on one line; line breaks inside text are written \\n."
        return Fault("json_syntax", what, hint, column=column)
    what, hint = next(((what, hint) for start, what, hint in SYNTAX if error.msg.startswith(start)), OTHERWISE)
    return Fault("json_syntax", what, hint, column=column)


def ends_early(error: json.JSONDecodeError, text: str) -> bool:
    """The text is a valid beginning with nothing after it."""
    after = text[error.pos :].strip()
    return not after or error.msg.startswith("Unterminated string") or _half_a_word(after, text)


def _half_a_word(after: str, text: str) -> bool:
    words = ("true", "false", "null")
    escape = re.search(r"(?<!\\)(\\\\)*\\(u[0-9a-fA-F]{0,3})?$", text) is not None
    return escape or any(word.startswith(after) for word in words) or after == "-"


def _comma_before_brace(text: str, position: int) -> str:
    """The closing brace or bracket that a comma stands before, near the place where the decoder stopped."""
    start = len(text[:position].rstrip())
    if start and text[start - 1] == ",":
        start -= 1
    found = TRAILING.match(text, start)
    return found[1] if found else ""


def _extra(rest: str, column: int) -> Fault:
    if VALUE.match(rest.lstrip()):
        return Fault("jsonl_two_values", "two values stand on it", "Write one object a line.", column=column)
    if rest.lstrip().startswith(","):
        return Fault("json_syntax", "a comma stands after the object", "Remove the comma.", column=column)
    return Fault("json_syntax", "something stands after the object", "Write one object a line.", column=column)


SYNTAX = (
    ("Invalid control character", "a raw control character stands inside text", "Write it as an escape such as \\n."),
    ("Expecting property name", "a key in double quotes is missing", 'Write keys like "text", in double quotes.'),
    ("Illegal trailing comma", "a comma stands before the closing brace", "Remove the comma."),
    ("Expecting ':'", "a colon is missing after a key", "Put a colon between key and value."),
    (
        "Expecting ','",
        "a comma is missing between two values",
        'Put a comma there; quotes inside text are written \\".',
    ),
    ("Invalid \\", "an escape is not valid", "A backslash in text is written twice."),
)
OTHERWISE = ("it is not valid JSON", f"Write each row as one object, like {EXAMPLE}.")


def content_fault(row: dict[str, Any], text: str, depth: int) -> Fault | None:
    """What of a row cannot be kept: a NUL, half of a surrogate pair, nesting beyond `depth`."""
    if "\\u" not in text and text.count("{") + text.count("[") <= depth:
        return None  # the usual row: neither can be there
    for name, value in row.items():
        code = unkept(value, depth - 1)
        if code == "too_deep":
            return deep_fault(depth)
        if code:
            what = "a NUL character" if code == "nul_char" else "half of a surrogate pair"
            return Fault(code, f"`{name[:60]}` holds {what}", "Remove it.", name)
    return None


def deep_fault(depth: int) -> Fault:
    return Fault("too_deep", f"is nested deeper than {depth}", "Write the row as an object with plain fields.")


def unkept(value: Any, depth: int) -> str:
    """The code of what cannot be kept in a value, or nothing."""
    if isinstance(value, str):
        if "\0" in value:
            return "nul_char"
        try:
            value.encode()
        except UnicodeEncodeError:
            return "bad_unicode_escape"
        return ""
    if not isinstance(value, dict | list):
        return ""
    if depth == 0:
        return "too_deep"
    inner = [*value, *value.values()] if isinstance(value, dict) else value
    return next((code for each in inner if (code := unkept(each, depth - 1))), "")


def without_nul(value: Any) -> Any:
    """The same value with every NUL character taken out of its texts."""
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, dict):
        return {without_nul(name): without_nul(each) for name, each in value.items()}
    return [without_nul(each) for each in value] if isinstance(value, list) else value
