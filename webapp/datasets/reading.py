"""Bytes to rows or problems: reads one file whole, writes the canonical rows, and reports what it found.

Runs in the limited child that checking.py starts; needs no Django and touches nothing but its two files.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

from webapp.datasets.csv_rows import CsvFile
from webapp.datasets.json_rows import Row, json_array, json_lines
from webapp.datasets.limits import Limits
from webapp.datasets.mapping import Mapping, choose
from webapp.datasets.problems import Problems, Refused
from webapp.datasets.rules import Rules
from webapp.datasets.sniffing import sniff
from webapp.datasets.splitting import NAMES, Split, choose_split, content_hash, held_out

LOOKED_AT = 100
"""Rows that are looked at before the mapping is chosen."""
PREVIEWED = 20


@dataclass
class Report:
    """What was found: `ready` with rows, or `refused` with every problem."""

    state: str
    format: str | None = None
    task: str | None = None
    mapping: dict[str, str] | None = None
    columns: list[str] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    labels: dict[str, int] = field(default_factory=dict)
    split: dict[str, Any] | None = None
    sha256: str = ""
    bytes: int = 0
    problems: list[dict[str, Any]] = field(default_factory=list)
    problems_total: int = 0
    preview: list[dict[str, Any]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)


@dataclass
class Reading:
    """One file on its way from bytes to canonical rows."""

    source: Path
    name: str
    destination: Path
    problems: Problems
    limits: Limits
    report: Report = field(default_factory=lambda: Report("refused"))
    read: int = 0

    def run(self, task: str | None, asked: dict[str, str] | None, split: dict[str, Any] | None) -> Report:
        """Read everything that can be read; the destination exists only if the state is `ready`."""
        try:
            self._read(task, asked, split)
        except Refused:
            self.report.state = "refused"
        self.report.problems = self.problems.as_json()
        self.report.problems_total = self.problems.total
        return self.report

    def _read(self, task: str | None, asked: dict[str, str] | None, split: dict[str, Any] | None) -> None:
        rows = self._rows(sniff(self.source, self.name, self.problems))
        first = list(islice(rows, LOOKED_AT))
        if not first:
            self._refuse_empty()
        columns = list(dict.fromkeys(name for _, _, values in first for name in values))
        mapping = choose(columns, task, asked, self.problems)
        chosen = choose_split(split, columns, self.problems)
        self._describe(mapping, chosen, columns)
        rules = Rules(mapping, self.problems, self.limits)
        draft = self.destination.with_suffix(".draft")
        hashes, groups = self._draft(chain(first, rows), rules, chosen, draft)
        if not self.problems.bad_rows:
            rules.conclude(len(hashes))
        self.report.labels = {label: rules.labels[label] for label in sorted(rules.labels, key=natural)}
        bad = len(self.problems.bad_rows)
        self.report.rows = {"read": len(hashes) + bad, "good": len(hashes), "bad": bad, "train": 0, "eval": 0}
        if not hashes and not self.problems.fatal:
            self._refuse_empty()
        if not self.problems.fatal:
            self._write(draft, hashes, groups, chosen)
            self.report.state = "ready"
        draft.unlink(missing_ok=True)

    def _refuse_empty(self) -> None:
        if self.problems.fatal:
            raise Refused("no good row")
        raise self.problems.refuse("no_rows", "The file has no rows.", "Add rows below the header.")

    def _rows(self, kind: str) -> Iterator[Row]:
        if kind == "csv":
            file = CsvFile(self.source, self.problems, self.limits)
            rows = file.rows()
            first = list(islice(rows, 1))  # finds the delimiter
            self.report.format = file.format
            return chain(first, rows)
        self.report.format = "JSONL" if kind == "jsonl" else "JSON array"
        return (json_lines if kind == "jsonl" else json_array)(self.source, self.problems, self.limits)

    def _describe(self, mapping: Mapping, split: Split, columns: list[str]) -> None:
        self.report.task, self.report.mapping, self.report.reasons = mapping.task, mapping.columns, mapping.reasons
        self.report.columns, self.report.split = list(mapping.columns), split.as_json()
        unused = [name for name in columns if name not in (*mapping.columns.values(), split.column)]
        if unused:
            named = ", ".join(f"`{name[:40]}`" for name in unused[:10])
            self.problems.notice("unused_columns", f"Not used: {named}.", "Nothing to do.", count=len(unused))

    def _draft(self, rows: Iterator[Row], rules: Rules, split: Split, draft: Path) -> tuple[list[int], list[str]]:
        """Write good rows without their side; answers with each row's hash (or side) and its group."""
        hashes: list[int] = []
        groups: list[str] = []
        with draft.open("w", encoding="utf-8", newline="\n") as file:
            for row in rows:
                made = rules.canonical(row)
                side = self._side(row, split)
                if made is None or side is None:
                    continue
                if len(hashes) >= self.limits.rows:
                    limit = f"{self.limits.rows:,}"
                    raise self.problems.refuse("too_many_rows", f"More than {limit} rows.", "Split the file.")
                line = json.dumps(made, ensure_ascii=False, separators=(",", ":"))
                file.write(line + "\n")
                hashes.append(side if split.kind == "column" else content_hash(split.seed, line))
                groups.append(made.get("label", ""))
        return hashes, groups

    def _side(self, row: Row, split: Split) -> int | None:
        """For a split by column: 1 held out, 0 not; None after noting that the cell says neither."""
        if split.kind != "column":
            return 0
        said = str(row[2].get(split.column) or "").strip().lower()
        if said not in NAMES:
            message = f"Row {row[1]:,}: `{split.column}` is `{said[:40]}`, neither train nor eval."
            hint = "Write train, eval, test or validation; or split by fraction."
            self.problems.error("split_value", message, hint, line=row[0], row=row[1], field=split.column)
            return None
        return int(NAMES[said] == "eval")

    def _write(self, draft: Path, hashes: list[int], groups: list[str], split: Split) -> None:
        """The canonical file: written under another name, synced, then renamed."""
        chosen = {1} if split.kind == "column" else held_out(hashes, groups, split.fraction)
        part, digest = self.destination.with_suffix(".part"), hashlib.sha256()
        counts = {"train": 0, "eval": 0}
        with draft.open("rb") as source, part.open("wb") as target:
            for line, each in zip(source, hashes, strict=True):
                side = "eval" if each in chosen else "train"
                counts[side] += 1
                whole = b'{"split":"' + side.encode() + b'",' + line[1:]
                digest.update(whole)
                target.write(whole)
                if len(self.report.preview) < PREVIEWED:
                    self.report.preview.append(json.loads(whole))
            target.flush()
            os.fsync(target.fileno())
        if not counts["train"]:
            part.unlink()
            raise self.problems.refuse("no_train_rows", "No row is left to train on.", "Hold out fewer rows.")
        self.report.rows |= counts
        self.report.sha256, self.report.bytes = digest.hexdigest(), part.stat().st_size
        part.replace(self.destination)


def natural(label: str) -> tuple[int, float, str]:
    """Numbers in their order, then words in theirs."""
    try:
        return 0, float(label), label
    except ValueError:
        return 1, 0.0, label


def read(
    source: Path,
    name: str,
    destination: Path,
    task: str | None = None,
    mapping: dict[str, str] | None = None,
    split: dict[str, Any] | None = None,
    limits: Limits | None = None,
) -> Report:
    """Read `source` into canonical rows at `destination`, or into problems; see Report."""
    return Reading(source, name, destination, Problems(name), limits or Limits()).run(task, mapping, split)
