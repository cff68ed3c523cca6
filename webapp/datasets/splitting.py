"""Which rows are held out for evaluation: by a seeded hash of their content, or by a column of the file.

Equal rows have equal hashes, so they stay on one side; order changes nothing; each label is split by itself.
A row is known here by one 64-bit key, so that 50 million rows fit in the checker's memory.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from bisect import bisect_left
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from webapp.datasets.problems import Problems

DEFAULT: dict[str, Any] = {"kind": "fraction", "fraction": 0.1, "seed": 17}
COLUMN = "split"
NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("eval", "evaluation", "test", "testing", "validation", "valid", "val", "dev"), "eval"),
}
MOST = 0.9
HASH_BITS, GROUPS = 53, 1024
"""A key is, from the top: 10 bits for the label, 53 of the content's hash, 1 for the side that a column gave."""
GROUP_SHIFT = HASH_BITS + 1
CHUNK = 1 << 20

Keys = NDArray[np.uint64]


@dataclass(frozen=True)
class Split:
    """How rows are divided."""

    kind: str
    """`fraction`; `column`: as a column says; `file`: a second file is what is held out."""
    fraction: float = 0.0
    seed: int = 0
    column: str = ""
    file: str = ""

    @property
    def is_given(self) -> bool:
        """The uploader says of each row on which side it is."""
        return self.kind != "fraction"

    @property
    def way_out(self) -> str:
        """Of a row that stands on both sides."""
        what = "from one of the two files" if self.kind == "file" else f"from one part of `{self.column}`"
        return f"Remove them {what}, or split by fraction."

    def as_json(self) -> dict[str, Any]:
        if self.kind == "column":
            return {"kind": "column", "column": self.column}
        if self.kind == "file":
            return {"kind": "file", "file": self.file}
        return {"kind": "fraction", "fraction": self.fraction, "seed": self.seed}


def choose_split(asked: dict[str, Any] | None, columns: list[str], problems: Problems, second: str = "") -> Split:
    """What was asked for; else a column named split; else a tenth. `second`: the second file's name. Raises Refused."""
    if asked is None:
        asked = {"kind": "column", "column": COLUMN} if COLUMN in columns else DEFAULT
    if fault := fault_of(asked):
        raise problems.refuse("split", fault.message, fault.hint, field=fault.field)
    kind = asked.get("kind", "fraction")
    if kind == "column":
        column = asked.get("column", COLUMN)
        if column not in columns:
            message = f"There is no column `{column}` to split by."
            raise problems.refuse("missing_column", message, "Name the column that says train or eval.", field=column)
        return Split("column", column=column)
    if kind == "file":
        if not second:
            raise problems.refuse("split", "There is no second file to hold out.", "Upload one.", field="kind")
        return Split("file", file=second)
    return Split("fraction", float(asked.get("fraction", DEFAULT["fraction"])), asked.get("seed", DEFAULT["seed"]))


@dataclass(frozen=True)
class SplitFault:
    """What is wrong with a wanted split, whatever the file holds."""

    field: str
    message: str
    hint: str


def fault_of(asked: dict[str, Any]) -> SplitFault | None:
    """For whoever takes a split in, and for the check, which takes none on trust."""
    kind, column = asked.get("kind", "fraction"), asked.get("column", COLUMN)
    fraction, seed = asked.get("fraction", DEFAULT["fraction"]), asked.get("seed", DEFAULT["seed"])
    if kind not in ("fraction", "column", "file"):
        return SplitFault("kind", f"{_quoted(kind)} is no way to split.", "Choose fraction, column or file.")
    if kind == "column" and not isinstance(column, str):
        return SplitFault("column", f"The split's column is {_quoted(column)}, no name.", "Name a column of the file.")
    if kind == "fraction" and (isinstance(fraction, bool) or not isinstance(fraction, int | float)):
        return SplitFault(
            "fraction", f"The eval fraction is {_quoted(fraction)}, no number.", "Give a fraction such as 0.1."
        )
    if kind == "fraction" and not 0 <= fraction <= MOST:
        message = f"The eval fraction is {_quoted(fraction)}, outside 0 to {MOST}."
        return SplitFault("fraction", message, "Give a fraction such as 0.1.")
    if kind == "fraction" and (isinstance(seed, bool) or not isinstance(seed, int)):
        return SplitFault("seed", f"The split's seed is {_quoted(seed)}, not a whole number.", "Give 17.")
    return None


def _quoted(value: Any) -> str:
    return f"`{json.dumps(value, ensure_ascii=False)[:40]}`"


class KeyMaker:
    """Makes keys of canonical lines under one seed."""

    def __init__(self, seed: int) -> None:
        self.start = hashlib.sha256(f"{seed}\0".encode())
        self.groups: dict[str, int] = {}

    def key(self, line: bytes, label: str, side: int = 0) -> int:
        """The key of one canonical line. More labels than GROUPS share the last one: such a file is refused anyway."""
        group = self.groups.setdefault(label, min(len(self.groups), GROUPS - 1))
        content = self.start.copy()
        content.update(line)
        part = int.from_bytes(content.digest()[:8], "big") >> (64 - HASH_BITS)
        return group << GROUP_SHIFT | part << 1 | side


@dataclass(frozen=True)
class Repeats:
    """Rows that stand more than once, whatever side a column gave them."""

    rows: int
    """Beyond the first of each."""
    on_one_side: int
    """Of them, those whose twin stands on the same side."""
    leaked: int
    """Distinct rows that stand on both sides."""


def sort_keys(keys: array[int]) -> Keys:
    """The keys in ascending order, sorted in place without a copy."""
    view: Keys = np.frombuffer(keys, dtype=np.uint64)
    view.sort()
    return view


def repeats(keys: Keys) -> Repeats:
    """Counted over sorted keys, a stretch at a time."""
    rows = on_one_side = leaked = 0
    for start in range(0, len(keys) - 1, CHUNK):
        stretch = keys[start : start + CHUNK + 1]
        differ = stretch[1:] ^ stretch[:-1]
        rows += int(np.count_nonzero(differ <= 1))
        on_one_side += int(np.count_nonzero(differ == 0))
        leaked += int(np.count_nonzero((differ == 1) & (stretch[1:] & np.uint64(1) == 1)))
    return Repeats(rows, on_one_side, leaked)


def thresholds(keys: Keys, fraction: float) -> dict[int, int]:
    """Group -> the largest key held out of it. From sorted keys without sides.

    Each label gives its share of distinct rows, never all of them; what rounding takes away is given back where the
    most was lost, and of two distinct rows at least one is held out if the fraction is above zero.
    """
    groups = list(_stretches(keys))
    distinct = [1 + int(np.count_nonzero(changes)) for _, _, changes in groups]
    taken = _shares(distinct, fraction)
    return {
        group: int(stretch[bisect_left(range(len(stretch)), share - 1, key=_steps(changes))])
        for (group, stretch, changes), share in zip(groups, taken, strict=True)
        if share
    }


class Sides:
    """Gives rows their side: the one that the uploader gave, or held out up to the threshold of their label."""

    def __init__(self, split: Split, keys: Keys) -> None:
        """`keys`: those of all rows, sorted."""
        self.given = split.is_given
        limits = {} if self.given else thresholds(keys, split.fraction)
        self.limits, self.some = np.zeros(GROUPS, dtype=np.uint64), np.zeros(GROUPS, dtype=np.bool_)
        for group, limit in limits.items():
            self.limits[group], self.some[group] = limit, True

    def of(self, keys: Keys) -> list[int]:
        """1 held out, 0 not, for rows in any order."""
        groups = groups_of(keys)
        held = self.some[groups] & (keys <= self.limits[groups])
        sides: list[int] = ((keys & np.uint64(1)) if self.given else held.astype(np.int8)).tolist()
        return sides


def groups_of(keys: Keys) -> NDArray[np.int64]:
    return (keys >> np.uint64(GROUP_SHIFT)).astype(np.int64)


def _stretches(keys: Keys) -> list[tuple[int, Keys, NDArray[np.bool_]]]:
    """Per group: its number, its keys, and whether each next key is another one."""
    found, start = [], 0
    while start < len(keys):
        group = int(keys[start]) >> GROUP_SHIFT
        above = (group + 1) << GROUP_SHIFT
        end = len(keys) if above >= 1 << 64 else int(np.searchsorted(keys, np.uint64(above)))
        stretch = keys[start:end]
        found.append((group, stretch, stretch[1:] != stretch[:-1]))
        start = end
    return found


def _steps(changes: NDArray[np.bool_]) -> Any:
    """Place in a stretch -> how many distinct keys stand before it."""
    return lambda place: int(np.count_nonzero(changes[:place]))


def _shares(distinct: list[int], fraction: float) -> list[int]:
    wanted = [fraction * count for count in distinct]
    taken = [min(int(share), count - 1) for share, count in zip(wanted, distinct, strict=True)]
    total = round(sum(wanted)) or int(fraction > 0)
    by_loss = sorted(range(len(distinct)), key=lambda place: (taken[place] - wanted[place], -distinct[place]))
    for place in by_loss:
        if sum(taken) < total and taken[place] < distinct[place] - 1:
            taken[place] += 1
    return taken
