"""What a version changed: rows added, removed, and the same inputs with another answer.

Rows are compared by their content, whatever their order and side. Only sorted hashes are held, 16 bytes a row, and the
examples that are shown.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from webapp.datasets.models import DatasetVersion
from webapp.storing import open_stored

ROWS_AT_MOST = 300_000
BYTES_AT_MOST = 200_000_000
EXAMPLES = 10
ANSWERS = ("label", "completion", "target")
"""Fields that say what shall be learnt; the others are what it is learnt from."""
Row = dict[str, Any]
Hashes = NDArray[np.uint64]


@dataclass(frozen=True)
class Difference:
    """Against an older version; a changed row counts neither as added nor as removed."""

    added: int
    removed: int
    changed: int
    added_rows: list[tuple[int, Row]]
    """The first, with their numbers from 1 in the newer version."""
    removed_rows: list[tuple[int, Row]]
    changed_rows: list[tuple[int, Row]]


class TooLong(Exception):
    """The versions are larger than a page can compare."""


def difference(older: DatasetVersion, newer: DatasetVersion) -> Difference:
    """Raises TooLong, and FileNotFoundError where a file is gone."""
    for each in (older, newer):
        if each.bytes > BYTES_AT_MOST or sum(each.rows.get(side, 0) for side in ("train", "eval")) > ROWS_AT_MOST:
            raise TooLong
    old, new = _hashes(older), _hashes(newer)
    gone, come = _without(old[0], new[0]), _without(new[0], old[0])
    changed = come & np.isin(new[1], old[1][gone])
    replaced = gone & np.isin(old[1], new[1][changed])
    added, removed = come & ~changed, gone & ~replaced
    return Difference(
        int(added.sum()),
        int(removed.sum()),
        int(changed.sum()),
        _examples(newer, added),
        _examples(older, removed),
        _examples(newer, changed),
    )


def _rows(version: DatasetVersion) -> Iterator[Row]:
    with open_stored(version.file_key) as file:
        for line in file:
            row: Row = orjson.loads(line)
            row.pop("split", None)
            yield row


def _hashes(version: DatasetVersion) -> tuple[Hashes, Hashes]:
    """Of each row: its whole content, and its inputs alone; a conversation's last turn is its answer."""
    whole, inputs = [], []
    for row in _rows(version):
        whole.append(_hash(row))
        inputs.append(_hash(_inputs(row)))
    return np.array(whole, np.uint64), np.array(inputs, np.uint64)


def _inputs(row: Row) -> Row:
    left = {name: value for name, value in row.items() if name not in ANSWERS}
    if isinstance(messages := left.get("messages"), list):
        left["messages"] = messages[:-1]
    return left if any(left.values()) else row


def _hash(value: Any) -> int:
    digest = hashlib.blake2b(orjson.dumps(value, option=orjson.OPT_SORT_KEYS), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _without(these: Hashes, those: Hashes) -> NDArray[np.bool_]:
    """Marks of the rows that the other version has fewer of: of equal ones, the last."""
    marks = np.zeros(len(these), np.bool_)
    if not len(these):
        return marks
    order = np.argsort(these, kind="stable")
    values, starts, counts = np.unique(these[order], return_index=True, return_counts=True)
    known, known_counts = np.unique(those, return_counts=True)
    there = np.zeros(len(values), np.int64)
    if len(known):
        places = np.minimum(np.searchsorted(known, values), len(known) - 1)
        there = np.where(known[places] == values, known_counts[places], 0)
    nth = np.arange(len(these)) - np.repeat(starts, counts)
    marks[order] = nth >= np.repeat(there, counts)
    return marks


def _examples(version: DatasetVersion, marks: NDArray[np.bool_]) -> list[tuple[int, Row]]:
    wanted = set(np.flatnonzero(marks)[:EXAMPLES].tolist())
    if not wanted:
        return []
    last = max(wanted)
    found = []
    for place, row in enumerate(_rows(version)):
        if place in wanted:
            found.append((place + 1, row))
        if place == last:
            break
    return found
