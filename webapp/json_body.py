"""Request bodies of both APIs: only JSON that every part of the house can store and send on again.

NaN and infinities, numbers beyond 64 bits, NUL, half surrogate pairs and deep nesting are refused at the door (400).
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from django.http import HttpRequest
from ninja.errors import HttpError
from ninja.parser import Parser

from webapp.plain_text import clean_name

DEPTH = 64
LARGEST = 2**63
UNSTORABLE = re.compile("[\ud800-\udfff]")


class StrictParser(Parser):
    """Raises HttpError 400 with a sentence that says what is wrong."""

    def parse_body(self, request: HttpRequest) -> Any:
        try:
            value = json.loads(request.body, parse_constant=_no_constant, parse_int=_whole)
            require_storable(value)
        except (ValueError, RecursionError) as error:
            said = str(error) if isinstance(error, Unstorable) else "The request is not valid JSON."
            raise HttpError(400, said) from error
        return value

    def parse_querydict(self, data: Any, list_fields: list[str], request: HttpRequest) -> Any:
        """The fields of a form, which has no other door than this."""
        fields = super().parse_querydict(data, list_fields, request)
        for name, value in fields.items():
            try:
                require_storable({name: value})
            except Unstorable as error:
                raise HttpError(400, f"`{clean_name(name)[:60]}`: {error}") from error
        return fields


class Unstorable(ValueError):
    """JSON allows it, we do not."""


def _no_constant(word: str) -> Any:
    raise Unstorable(f"{word} is not a number in JSON. Send null, or leave the field out.")


def _whole(digits: str) -> int:
    if len(digits) > 20 or not -LARGEST <= int(digits) < LARGEST:
        raise Unstorable("A number is larger than 64 bits.")
    return int(digits)


def require_storable(value: Any, depth: int = DEPTH) -> None:
    """Raises Unstorable."""
    if depth == 0:
        raise Unstorable(f"The request is nested deeper than {DEPTH}.")
    if isinstance(value, dict):
        for name, each in value.items():
            _check_text(name)
            require_storable(each, depth - 1)
    elif isinstance(value, str):
        _check_text(value)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise Unstorable("A number is too large.")
    elif isinstance(value, list):
        for each in value:
            require_storable(each, depth - 1)


def _check_text(text: str) -> None:
    if "\0" in text or not (text.isascii() or UNSTORABLE.search(text) is None):
        raise Unstorable("A text holds a NUL character or half of a surrogate pair.")
