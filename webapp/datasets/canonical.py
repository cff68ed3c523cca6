"""Writes the canonical file of a dataset version: one JSON object a line, `split` first, complete or absent.

Rows go into a draft first, each with its key and its line, because a side can be given only once all are known.
"""

from __future__ import annotations

import hashlib
import os
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import orjson

from webapp.datasets.keeping import Keeper
from webapp.datasets.limits import Limits
from webapp.datasets.problems import Problems
from webapp.datasets.remarks import KEPT_OF_EACH, Remarks
from webapp.datasets.splitting import GROUP_SHIFT, KeyMaker, Keys, Split, repeats, sort_keys, thresholds

PREVIEWED, KEEP_ONE = 20, "keep_one"
KEY_DIGITS, LINE_DIGITS = 16, 10
MARK = KEY_DIGITS + LINE_DIGITS
SIDES = (b'{"split":"train",', b'{"split":"eval",')


@dataclass
class Preview:
    """The first rows, long texts clipped."""

    limit_characters: int
    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, row: dict[str, Any]) -> None:
        if len(self.rows) < PREVIEWED:
            self.rows.append({name: self._clipped(value) for name, value in row.items()})

    def _clipped(self, value: Any) -> Any:
        if isinstance(value, str):
            limit = self.limit_characters
            return value if len(value) <= limit else value[: limit - 1] + "…"
        if isinstance(value, list):
            return [self._clipped(each) for each in value[:PREVIEWED]]
        return {name: self._clipped(each) for name, each in value.items()}


@dataclass
class RowIndex:
    """Where every so-manieth row starts, so that a page far down is found at once; bounded, however many rows."""

    stride: int = 256
    offsets: list[int] = field(default_factory=list)
    rows: int = 0

    def add(self, offset: int) -> None:
        """The next row starts at this byte."""
        if self.rows % self.stride == 0:
            self.offsets.append(offset)
        self.rows += 1
        if len(self.offsets) > INDEXED_AT_MOST:
            self.offsets, self.stride = self.offsets[::2], 2 * self.stride


INDEXED_AT_MOST = 8192


@dataclass(frozen=True)
class Written:
    """What was written."""

    train: int
    eval: int
    sha256: str
    bytes: int
    preview: list[dict[str, Any]]
    index: RowIndex
    left_out: int = 0
    """Rows that a person chose not to keep."""
    labels: dict[str, int] = field(default_factory=dict)
    """Label -> rows kept."""
    remarks: dict[str, list[int]] = field(default_factory=dict)
    """Code of a remark -> numbers of its first rows."""


class Draft:
    """The rows of one file before they have sides. `discard` it in the end, whatever happened."""

    def __init__(self, destination: Path, limits: Limits) -> None:
        self.destination, self.limits = destination, limits
        self.path = destination.with_name(destination.name + ".draft")
        self.part = destination.with_name(destination.name + ".part")
        self.keys = array("Q")
        self.preview = Preview(limits.preview_characters)
        self.file: IO[bytes] | None = None
        self.sorted: Keys | None = None
        self.remarks = Remarks()

    @property
    def rows(self) -> int:
        return len(self.keys)

    def open(self, seed: int) -> None:
        self.maker, self.file = KeyMaker(seed), self.path.open("wb")

    def add(self, row: dict[str, Any], line: int | None, side: int, remarks: set[str] | None = None) -> None:
        """One canonical row without its side; `line` is physical, `side` is what a column said (1 eval)."""
        if remarks:
            self.remarks.add(len(self.keys) + 1, remarks)
        text = orjson.dumps(row)
        key = self.maker.key(text, row.get("label", ""), side)
        self.keys.append(key)
        self.preview.add(row)
        assert self.file is not None
        self.file.write(b"%016x%010d%b\n" % (key, line or 0, text))

    def _sorted(self) -> Keys:
        if self.sorted is None:
            assert self.file is not None
            self.file.close()
            self.sorted = sort_keys(self.keys)
        return self.sorted

    def _marked(self) -> Iterator[tuple[int, int, bytes]]:
        """Key, physical line and canonical line without its opening brace, in the order of the file."""
        with self.path.open("rb") as lines:
            for line in lines:
                yield int(line[:KEY_DIGITS], 16), int(line[KEY_DIGITS:MARK]), line[MARK + 1 :]

    def tell_repeats(self, problems: Problems, split: Split) -> None:
        """A warning for repeated rows, an error for rows that a column put on both sides."""
        found, keeps_one = repeats(self._sorted()), problems.chosen
        left = found.on_one_side if keeps_one.get("leaked_row") == KEEP_ONE else found.rows
        if found.leaked and keeps_one.get("leaked_row") != KEEP_ONE:
            rows = "1 row stands" if found.leaked == 1 else f"{found.leaked:,} rows stand"
            message = f"{rows} in both the training and the evaluation part."
            field_ = split.column or None
            problems.error("leaked_row", message, split.way_out, count=found.leaked, field=field_)
        elif left and keeps_one.get("duplicate_row") != KEEP_ONE:
            line, row = self._repeated(found.contents)
            rows = "1 row repeats" if left == 1 else f"{left:,} rows repeat"
            place = f"on line {line:,}" if line else f"in row {row:,}"
            message = f"{rows} an earlier one word for word, the first {place}."
            hint = "Keep one of each if they are there by mistake."
            problems.warn("duplicate_row", message, hint, count=left, line=line or None)

    def _repeated(self, contents: frozenset[int]) -> tuple[int, int]:
        """Line (0 where there are none) and good row of the first that repeats; the first such rows are remarked on."""
        seen: set[int] = set()
        found: list[tuple[int, int]] = []
        for row, (key, line, _) in enumerate(self._marked(), start=1):
            content = key >> 1
            if content in seen:
                found.append((line, row))
                self.remarks.add(row, {"duplicate_row"})
                if len(found) == KEPT_OF_EACH:
                    break
            elif content in contents:
                seen.add(content)
        return found[0] if found else (0, 0)

    def write(self, split: Split, problems: Problems) -> Written:
        """The canonical file: written under another name, synced, then renamed. Raises Refused without train rows."""
        limits = {} if split.is_given else thresholds(self._sorted(), split.fraction)
        keeper = self._keeper(problems)
        groups: Counter[int] = Counter()
        index, size = RowIndex(), 0
        counts, digest, preview = [0, 0], hashlib.sha256(), Preview(self.limits.preview_characters)
        with self.part.open("wb") as target:
            for key, _, rest in self._marked():
                if keeper is not None and not keeper.keeps(key):
                    continue
                held_out = key & 1 if split.is_given else key <= limits.get(key >> GROUP_SHIFT, -1)
                counts[held_out] += 1
                groups[key >> GROUP_SHIFT] += 1
                line = SIDES[held_out] + rest
                index.add(size)
                size += len(line)
                digest.update(line)
                target.write(line)
                if sum(counts) <= PREVIEWED:
                    preview.add(orjson.loads(line))
            target.flush()
            os.fsync(target.fileno())
        if not counts[0]:
            raise problems.refuse("no_train_rows", "No row is left to train on.", "Hold out fewer rows.")
        self.part.replace(self.destination)
        labels = {label: groups[group] for label, group in self.maker.groups.items()}
        left_out = keeper.left_out if keeper else 0
        remarks = self.remarks.stored(keeper.dropped if keeper else ())
        return Written(counts[0], counts[1], digest.hexdigest(), size, preview.rows, index, left_out, labels, remarks)

    def _keeper(self, problems: Problems) -> Keeper | None:
        """Where rows are left out by choice; says how many beforehand."""
        repeats_, leaks = (problems.chosen.get(code) == KEEP_ONE for code in ("duplicate_row", "leaked_row"))
        if not repeats_ and not leaks:
            return None
        found = repeats(self._sorted())
        if repeats_ and found.rows:
            problems.notice("repeats_left_out", "Of rows that repeat, the first was kept, as chosen.", count=found.rows)
        if leaks and found.leaked:
            message = "Rows that stand in both parts were kept in the evaluation part alone, as chosen."
            problems.notice("leaks_left_out", message, count=found.leaked)
        return Keeper(self._sorted(), repeats_, leaks)

    def discard(self) -> None:
        """Remove everything that is not the finished file."""
        if self.file is not None:
            self.file.close()
        for leftover in (self.path, self.part):
            leftover.unlink(missing_ok=True)
