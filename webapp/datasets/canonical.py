"""Writes the canonical file of a dataset version: one JSON object a line, `split` first, complete or absent.

Rows go into a draft first, their keys and lines beside it, because a side can be given only once all are known.
"""

from __future__ import annotations

import hashlib
import os
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import orjson

from webapp.datasets.keeping import Keeper, Twice
from webapp.datasets.limits import Limits
from webapp.datasets.problems import Problems
from webapp.datasets.remarks import Remarks
from webapp.datasets.splitting import GROUPS, KeyMaker, Keys, Sides, Split, groups_of, repeats, sort_keys

PREVIEWED, KEEP_ONE, REMARKS = 20, "keep_one", ".remarks"
BATCH_BYTES, BATCH_ROWS = 1024 * 1024, 8192
"""Of the draft, taken in hand at once; a batch ends with the row that fills it."""
SIDES = (b'{"split":"train",', b'{"split":"eval",')
SAMPLE = ".sample"
SAMPLED_AT_MOST = 50_000
"""Rows of a draft, at even distances: as many as a token report reads."""


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
        if isinstance(value, dict):
            return {name: self._clipped(each) for name, each in value.items()}
        return value


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
    remarks: dict[str, int] = field(default_factory=dict)
    """Code of a remark -> how many rows it is about; which they are lies beside the rows, as `.remarks`."""


class Draft:
    """The rows of one file before they have sides. `discard` it in the end, whatever happened."""

    def __init__(self, destination: Path, limits: Limits) -> None:
        self.destination, self.limits = destination, limits
        names = (destination.name + ending for ending in (".draft", ".marks", ".part"))
        self.path, self.marks_path, self.part = map(destination.with_name, names)
        self.keys, self.marks = array("Q"), array("Q")
        self.preview = Preview(limits.preview_characters)
        self.file: IO[bytes] | None = None
        self.marks_file: IO[bytes] | None = None
        self.sorted: Keys | None = None
        self.remarks = Remarks()

    @property
    def rows(self) -> int:
        return len(self.keys)

    def open(self, seed: int) -> None:
        self.maker, self.marks_file = KeyMaker(seed), self.marks_path.open("wb")
        self.file = self.path.open("wb", buffering=BATCH_BYTES)

    def add(self, row: dict[str, Any], line: int | None, side: int, remarks: set[str] | None = None) -> None:
        """One canonical row without its side; `line` is physical, `side` is what a column said (1 eval)."""
        if remarks:
            self.remarks.add(len(self.keys) + 1, remarks)
        text = orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
        key = self.maker.key(text[:-1], row.get("label", ""), side)
        self.keys.append(key)
        self.marks.extend((key, line or 0))
        if len(self.keys) <= PREVIEWED:
            self.preview.add(row)
        if len(self.marks) >= 2 * BATCH_ROWS:
            self._put_marks_away()
        assert self.file is not None
        self.file.write(text)

    def _put_marks_away(self) -> None:
        """Key and line of every row in turn, on disk: sorting the keys loses the order."""
        assert self.marks_file is not None
        self.marks.tofile(self.marks_file)
        del self.marks[:]

    def _sorted(self) -> Keys:
        if self.sorted is None:
            assert self.file is not None
            assert self.marks_file is not None
            self._put_marks_away()
            self.file.close()
            self.marks_file.close()
            self.sorted = sort_keys(self.keys)
        return self.sorted

    def _batches(self) -> Iterator[tuple[Keys, Keys, list[bytes]]]:
        """Keys, physical lines and canonical lines, some rows at a time, in the order of the file."""
        with self.path.open("rb") as rows, self.marks_path.open("rb") as marks:
            while lines := rows.readlines(BATCH_BYTES):
                pairs = np.fromfile(marks, dtype=np.uint64, count=2 * len(lines)).reshape(-1, 2)
                yield pairs[:, 0], pairs[:, 1], lines

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
            line, row = self._repeated()
            rows = "1 row repeats" if left == 1 else f"{left:,} rows repeat"
            place = f"on line {line:,}" if line else f"in row {row:,}"
            message = f"{rows} an earlier one word for word, the first {place}."
            hint = "Keep one of each if they are there by mistake."
            problems.warn("duplicate_row", message, hint, count=left, line=line or None)

    def _repeated(self) -> tuple[int, int]:
        """Line (0 where there are none) and good row of the first that repeats; every such row is remarked on."""
        twice, seen = Twice(self._sorted()), (0, 0)
        row = 0
        with self.marks_path.open("rb") as marks:
            while len(pairs := np.fromfile(marks, dtype=np.uint64, count=2 * BATCH_ROWS).reshape(-1, 2)):
                again = twice.again(pairs[:, 0])
                self.remarks.add_all("duplicate_row", row + 1, again)
                if not seen[1] and again.any():
                    place = int(again.argmax())
                    seen = int(pairs[place, 1]), row + place + 1
                row += len(pairs)
        return seen

    def write(self, split: Split, problems: Problems) -> Written:
        """The canonical file: written under another name, synced, then renamed. Raises Refused without train rows."""
        sides = Sides(split, self._sorted())
        keeper = self._keeper(problems)
        index, size, held_out = RowIndex(), 0, 0
        groups = np.zeros(GROUPS, dtype=np.int64)
        digest, preview = hashlib.sha256(), Preview(self.limits.preview_characters)
        with self.part.open("wb") as target:
            for keys, _, lines in self._batches():
                if keeper is not None:
                    kept = [place for place, key in enumerate(keys.tolist()) if keeper.keeps(key)]
                    keys, lines = keys[kept], [lines[place] for place in kept]
                held = sides.of(keys)
                made = [SIDES[side] + line[1:] for side, line in zip(held, lines, strict=True)]
                groups += np.bincount(groups_of(keys), minlength=GROUPS)
                held_out += sum(held)
                for line in made:
                    index.add(size)
                    size += len(line)
                for line in made[: PREVIEWED - len(preview.rows)]:
                    preview.add(orjson.loads(line))
                block = b"".join(made)
                digest.update(block)
                target.write(block)
            target.flush()
            os.fsync(target.fileno())
        if index.rows == held_out:
            raise problems.refuse("no_train_rows", "No row is left to train on.", "Hold out fewer rows.")
        self.part.replace(self.destination)
        labels = {label: int(groups[group]) for label, group in self.maker.groups.items()}
        left_out = keeper.left_out if keeper else 0
        train = index.rows - held_out
        beside = self.destination.with_name(self.destination.name + REMARKS)
        remarks = self.remarks.write(beside, self.rows, keeper.dropped if keeper else ())
        return Written(train, held_out, digest.hexdigest(), size, preview.rows, index, left_out, labels, remarks)

    def write_sample(self) -> dict[str, int]:
        """Some rows with the lines they stood on, beside the destination, for whoever reads them before they are saved.

        How many, and that they are one in so many.
        """
        self._sorted()
        one_in, place, written = max(1, -(-self.rows // SAMPLED_AT_MOST)), 0, 0
        with self.destination.with_name(self.destination.name + SAMPLE).open("wb") as target:
            for _, numbers, lines in self._batches():
                first = -place % one_in
                for number, line in zip(numbers[first::one_in].tolist(), lines[first::one_in], strict=True):
                    target.write(SIDES[0] + (b'"line":%d,' % number if number else b"") + line[1:])
                    written += 1
                place += len(lines)
        return {"rows": written, "one_in": one_in}

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
        for file in (self.file, self.marks_file):
            if file is not None:
                file.close()
        for leftover in (self.path, self.marks_path, self.part):
            leftover.unlink(missing_ok=True)
