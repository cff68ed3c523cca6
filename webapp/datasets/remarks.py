"""Which stored rows something was remarked on: the first of each kind, so that a person can look at just those."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

KEPT_OF_EACH = 1000


class Remarks:
    """Kinds of remarks and the good rows they are about, from 1 in the order of the file."""

    def __init__(self) -> None:
        self.rows: dict[str, list[int]] = {}

    def add(self, row: int, codes: set[str]) -> None:
        for code in codes:
            listed = self.rows.setdefault(code, [])
            if len(listed) < KEPT_OF_EACH and (not listed or listed[-1] != row):
                listed.append(row)

    def stored(self, dropped: Sequence[int]) -> dict[str, list[int]]:
        """Code -> numbers of the rows as they are stored, where these good ones, in order, were not kept."""
        gone = set(dropped) if self.rows else set()
        found = {
            code: [row - bisect_left(dropped, row) for row in rows if row not in gone]
            for code, rows in sorted(self.rows.items())
        }
        return {code: rows for code, rows in found.items() if rows}
