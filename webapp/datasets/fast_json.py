"""The usual JSON row, read by orjson; whatever it refuses or may have let through is left to the careful reader.

orjson keeps the last of two equal keys and turns whole numbers beyond 64 bits into decimals without a word, so a row
counts as read only if as many keys came out as the text has, and no number is that large.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

LARGEST = 2**63
KEY_END = re.compile(rb'"[ \t\r\n]*:')


def usual_row(line: bytes, depth: int) -> dict[str, Any] | None:
    """The object on a line; None where the careful reader must look: it knows what to say, or that all is well."""
    if b"\\u0000" in line:
        return None
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if type(value) is not dict:
        return None
    keys = _keys(value, depth)
    return value if keys >= 0 and keys == _keys_written(line) else None


def _keys_written(line: bytes) -> int:
    """At least as many as there are keys: text that looks like the end of a key counts, too."""
    ended = line.count(b'":')
    if ended == line.count(b":"):
        return ended
    spaced = b" :" in line or b"\t" in line or b"\n" in line or b"\r" in line
    return len(KEY_END.findall(line)) if spaced else ended


def _keys(value: Any, depth: int) -> int:
    """Keys of all objects inside; below zero where nesting is too deep or a number too large."""
    kind = type(value)
    if kind is str or value is None or kind is bool:
        return 0
    if kind is int or kind is float:
        return 0 if -LARGEST <= value < LARGEST else -LARGEST
    if depth == 0:
        return -LARGEST
    found = 0
    for each in value.values() if kind is dict else value:
        found += _keys(each, depth - 1) if type(each) is not str else 0
    return found + (len(value) if kind is dict else 0)
