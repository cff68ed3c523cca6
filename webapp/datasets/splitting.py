"""Which rows are held out for evaluation: by a seeded hash of their content, or by a column of the file.

Equal rows have equal hashes, so they stay on one side; order changes nothing; each label is split by itself.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from webapp.datasets.problems import Problems

DEFAULT = {"kind": "fraction", "fraction": 0.1, "seed": 17}
COLUMN = "split"
NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("eval", "evaluation", "test", "testing", "validation", "valid", "val", "dev"), "eval"),
}


@dataclass(frozen=True)
class Split:
    """How rows are divided."""

    kind: str
    fraction: float = 0.0
    seed: int = 0
    column: str = ""

    def as_json(self) -> dict[str, Any]:
        if self.kind == "column":
            return {"kind": "column", "column": self.column}
        return {"kind": "fraction", "fraction": self.fraction, "seed": self.seed}


def choose_split(asked: dict[str, Any] | None, columns: list[str], problems: Problems) -> Split:
    """What was asked for; else a column named split; else a tenth. Raises Refused."""
    if asked is None:
        asked = {"kind": "column", "column": COLUMN} if COLUMN in columns else DEFAULT
    if asked.get("kind") == "column":
        column = str(asked.get("column", COLUMN))
        if column not in columns:
            message = f"There is no column `{column}` to split by."
            raise problems.refuse("missing_column", message, "Name the column that says train or eval.", field=column)
        return Split("column", column=column)
    fraction, seed = asked.get("fraction", DEFAULT["fraction"]), asked.get("seed", DEFAULT["seed"])
    if isinstance(fraction, bool) or not isinstance(fraction, int | float) or not 0 <= fraction <= 0.9:
        message = f"The eval fraction is {fraction!r}, outside 0 to 0.9."
        raise problems.refuse("split", message, "Give a fraction such as 0.1.", field="fraction")
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise problems.refuse("split", f"The split's seed is {seed!r}, not a whole number.", "Give 17.", field="seed")
    return Split("fraction", float(fraction), seed)


def content_hash(seed: int, line: str) -> int:
    """64 bits of a row's content under a seed."""
    return int.from_bytes(hashlib.sha256(f"{seed}\0{line}".encode()).digest()[:8], "big")


def held_out(hashes: list[int], groups: list[str], fraction: float) -> set[int]:
    """Hashes of the rows to hold out: of each group (label) the same share of its distinct rows, never all of them."""
    distinct: dict[str, set[int]] = defaultdict(set)
    for each, group in zip(hashes, groups, strict=True):
        distinct[group].add(each)
    chosen: set[int] = set()
    for members in distinct.values():
        share = min(round(fraction * len(members)), len(members) - 1)
        chosen.update(sorted(members)[:share])
    if not chosen and fraction > 0:
        largest = max(distinct.values(), key=len, default=set())
        chosen.update(sorted(largest)[: 1 if len(largest) > 1 else 0])
    return chosen
