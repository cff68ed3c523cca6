"""Writes the canonical file of a dataset version: one JSON object a line, `split` first, complete or absent.

Rows go into a draft first, each with its key and its line, because a side can be given only once all are known.
"""

from __future__ import annotations

import hashlib
import json
import os
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from webapp.datasets.limits import Limits
from webapp.datasets.problems import Problems
from webapp.datasets.splitting import GROUP_SHIFT, KeyMaker, Keys, Split, repeats, sort_keys, thresholds

PREVIEWED = 20
KEY_DIGITS, LINE_DIGITS = 16, 10
MARK = KEY_DIGITS + LINE_DIGITS
SIDES = (b'{"split":"train",', b'{"split":"eval",')

encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


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


@dataclass(frozen=True)
class Written:
    """What was written."""

    train: int
    eval: int
    sha256: str
    bytes: int
    preview: list[dict[str, Any]]


class Draft:
    """The rows of one file before they have sides. `discard` it in the end, whatever happened."""

    def __init__(self, destination: Path, limits: Limits) -> None:
        self.destination, self.limits = destination, limits
        self.path = destination.with_name(destination.name + ".draft")
        self.part = destination.with_name(destination.name + ".part")
        self.converted = destination.with_name(destination.name + ".utf8")
        """Where a file in another encoding is rewritten."""
        self.keys = array("Q")
        self.preview = Preview(limits.preview_characters)
        self.file: IO[bytes] | None = None
        self.sorted: Keys | None = None

    @property
    def rows(self) -> int:
        return len(self.keys)

    def open(self, seed: int) -> None:
        self.maker, self.file = KeyMaker(seed), self.path.open("wb")

    def add(self, row: dict[str, Any], line: int, side: int) -> None:
        """One canonical row without its side, from this physical line; `side` is what a column said (1 eval)."""
        text = encode(row).encode()
        key = self.maker.key(text, row.get("label", ""), side)
        self.keys.append(key)
        self.preview.add(row)
        assert self.file is not None
        self.file.write(b"%016x%010d%b\n" % (key, line, text))

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
        found = repeats(self._sorted())
        if found.leaked:
            rows = "1 row stands" if found.leaked == 1 else f"{found.leaked:,} rows stand"
            message = f"{rows} in both the training and the evaluation part."
            hint = f"Remove them from one part of `{split.column}`, or split by fraction."
            problems.error("leaked_row", message, hint, count=found.leaked, field=split.column)
        elif found.rows:
            line = self._first_repeated(found.contents)
            rows = "1 row repeats" if found.rows == 1 else f"{found.rows:,} rows repeat"
            message = f"{rows} an earlier one word for word, the first on line {line:,}."
            hint = "Keep one of each if they are there by mistake."
            problems.warn("duplicate_row", message, hint, count=found.rows, line=line)

    def _first_repeated(self, contents: frozenset[int]) -> int:
        seen: set[int] = set()
        for key, line, _ in self._marked():
            content = key >> 1
            if content in seen:
                return line
            if content in contents:
                seen.add(content)
        return 0

    def write(self, split: Split, problems: Problems) -> Written:
        """The canonical file: written under another name, synced, then renamed. Raises Refused without train rows."""
        limits = {} if split.kind == "column" else thresholds(self._sorted(), split.fraction)
        counts, digest, preview = [0, 0], hashlib.sha256(), Preview(self.limits.preview_characters)
        with self.part.open("wb") as target:
            for key, _, rest in self._marked():
                held_out = key & 1 if split.kind == "column" else key <= limits.get(key >> GROUP_SHIFT, -1)
                counts[held_out] += 1
                line = SIDES[held_out] + rest
                digest.update(line)
                target.write(line)
                if sum(counts) <= PREVIEWED:
                    preview.add(json.loads(line))
            target.flush()
            os.fsync(target.fileno())
        if not counts[0]:
            raise problems.refuse("no_train_rows", "No row is left to train on.", "Hold out fewer rows.")
        size = self.part.stat().st_size
        self.part.replace(self.destination)
        return Written(counts[0], counts[1], digest.hexdigest(), size, preview.rows)

    def discard(self) -> None:
        """Remove everything that is not the finished file."""
        if self.file is not None:
            self.file.close()
        for leftover in (self.path, self.part, self.converted):
            leftover.unlink(missing_ok=True)
