"""Finds the line on which the quote was opened that a CSV parser stumbled over; the parser itself does not say."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

QUOTE = '"'


def opening_line(path: Path, delimiter: str, first: int, last: int) -> int:
    """The physical line, from 1, of the last quote opened between two lines; `first` if there is none.

    Line ends inside the stretch are those of the file; both lines belong to one record, so it is at most some MiB.
    """
    opened, inside = first, False
    for number, line in enumerate(_stretch(path, first, last), start=first):
        place = 0
        while (place := line.find(QUOTE, place)) >= 0:
            if inside and line[place + 1 : place + 2] == QUOTE:
                place += 1  # written twice: part of the text
            elif inside:
                inside = False
                if line[place + 1 : place + 2] not in (delimiter, "\r", "\n", ""):
                    return opened  # closed amid text: this is what the parser stumbled over
            elif place == 0 or line[place - 1] == delimiter:
                opened, inside = number, True
            place += 1
    return opened


def _stretch(path: Path, first: int, last: int) -> list[str]:
    with path.open("rb") as file:
        pieces = (piece for line in file for piece in line.splitlines(keepends=True))
        return [piece.decode("utf-8-sig", "replace") for piece in islice(pieces, first - 1, last)]
