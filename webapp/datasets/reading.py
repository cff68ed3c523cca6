"""Bytes to rows or problems: reads one file whole, writes the canonical rows, and reports what it found.

Runs in the limited child that checking.py starts; needs no Django and touches nothing but its files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

from webapp.datasets.canonical import Draft, Written
from webapp.datasets.choices import ASK, CHECK, COLUMNS, Choices
from webapp.datasets.json_rows import Row
from webapp.datasets.limits import MIB, Limits
from webapp.datasets.looking import as_json, found_in, read_so, understood
from webapp.datasets.mapping import Mapping, choose
from webapp.datasets.opening import Opened
from webapp.datasets.problem_list import ProblemList
from webapp.datasets.problems import Problem, Problems, Refused
from webapp.datasets.progress import PROGRESS, Progress
from webapp.datasets.rules import Rules
from webapp.datasets.splitting import NAMES, Split, choose_split

HELD_OUT = Split("file")
"""Of every row of a second file."""
SECOND = ".second"
LOOKED_AT, LOOKED_AT_CHARACTERS = 100, 8 * MIB
"""Rows that are looked at before the mapping is chosen, and how much text they may hold together."""


@dataclass
class Report:
    """What was found: `ready` with rows; `needs_choice` where fixes on offer would make it good; or `refused`.

    Everything in it is JSON.
    """

    state: str
    format: str | None = None
    """`JSONL`, `JSON array`, `CSV, delimiter comma` …"""
    task: str | None = None
    mapping: dict[str, str] | None = None
    """Part -> column of the file."""
    columns: list[str] = field(default_factory=list)
    """Parts, in the order of the canonical rows."""
    rows: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("read", "good", "bad", "train", "eval"), 0))
    labels: dict[str, int] = field(default_factory=dict)
    """Label -> rows, in the order of the label ids."""
    split: dict[str, Any] | None = None
    sha256: str = ""
    """Of the canonical file."""
    bytes: int = 0
    problems: list[dict[str, Any]] = field(default_factory=list)
    problems_total: int = 0
    preview: list[dict[str, Any]] = field(default_factory=list)
    """The first canonical rows, long texts clipped."""
    reasons: list[str] = field(default_factory=list)
    """Sentences: why this task and these columns."""
    file_columns: list[str] = field(default_factory=list)
    """Columns of the file itself, as far as its first rows show."""
    row_index: dict[str, Any] = field(default_factory=dict)
    """`stride` and the `offsets` of every so-manieth row of the canonical file; `remarks`: code -> how many rows."""
    offers: dict[str, Any] = field(default_factory=dict)
    """Fix -> what may be chosen, with how the first places would read."""
    found: dict[str, Any] = field(default_factory=dict)
    """Of a look at the beginning alone; see looking.py."""
    remarks_file: bool = False
    """Which rows the remarks are about lies beside the destination, as `.remarks`; see remarks.py."""
    sample: dict[str, int] = field(default_factory=dict)
    """`rows` that lie beside the destination as `.sample`, and `one_in`: they are one in so many."""
    problems_file: bool = False
    """The full list lies beside the destination, as `.problems`."""
    isolation: dict[str, bool] = field(default_factory=dict)
    """Sandbox layers by name and whether the check had them."""


@dataclass
class Reading:
    """One file on its way from bytes to canonical rows."""

    source: Path
    name: str
    destination: Path
    choices: Choices
    limits: Limits
    second: tuple[Path, str] | None = None
    """A second file and its name, all of whose rows are held out; read only where the split says so."""
    report: Report = field(default_factory=lambda: Report("refused"))

    def __post_init__(self) -> None:
        path = self.destination.with_name(self.destination.name + ".problems")
        self.listing = ProblemList(path, self.limits.problems_kept)
        self.problems = Problems(self.name, chosen=self.choices.fixes, log=self._log)
        self.progress = Progress(self.destination.with_name(self.destination.name + PROGRESS), self.problems)
        self.opened = Opened(self.source, self.name, self.destination, self.problems, self.limits, self.choices)

    def _log(self, problem: Problem) -> None:
        self.listing.add(problem)
        self.progress.tell()

    def run(self, task: str | None, asked: dict[str, Any] | None, split: dict[str, Any] | None) -> Report:
        """Read everything that can be read; the destination exists only if the state is `ready`."""
        draft = Draft(self.destination, self.limits)
        if self.choices.renamed:
            self.problems.notice("file_name", self.choices.renamed)
        try:
            if self.choices.step == COLUMNS:
                self._look_over(task, asked)
            else:
                self._read(draft, task, asked, split)
        except Refused:
            self.report.state = "refused"
        finally:
            draft.discard()
            self.opened.discard()
            self.listing.close()
            self.progress.discard()
        report, problems = self.report, self.problems
        no_row_to_convert = self.opened.decoder.samples and not report.rows["read"]
        if report.state == "refused" and problems.fatal and problems.mendable(report.rows["good"]):
            report.state = "refused" if no_row_to_convert else "needs_choice"
        report.format = self.opened.format or None
        report.offers |= self.opened.offers()
        report.problems, report.problems_total = problems.as_json(), problems.total
        report.problems_file = self.listing.file is not None
        return report

    def _look_over(self, task: str | None, asked: dict[str, Any] | None) -> None:
        """The beginning alone, and what it seems to be."""
        first = list(_look(self.opened.rows()))
        columns = list(dict.fromkeys(name for _, _, values in first for name in values))
        columns = [name for name in columns if name not in self.opened.unreadable]
        if not first and not self.problems.fatal:
            raise self._no_rows()
        report, mapping = self.report, understood(columns, first, task, asked, self.problems)
        report.state, report.file_columns = "needs_choice", columns[: self.limits.columns]
        report.found = found_in(self.opened, columns, first)
        if mapping is not None:
            report.task, report.mapping, report.reasons = mapping.task, mapping.columns, mapping.reasons
            report.columns = list(mapping.columns)
            report.preview, report.labels = read_so(mapping, first, self.limits)

    def _read(self, draft: Draft, task: str | None, asked: dict[str, Any] | None, split: dict[str, Any] | None) -> None:
        rows = self.opened.rows()
        first = list(_look(rows))
        if not first:
            self._count(0)
            raise self._no_rows()
        columns = list(dict.fromkeys(name for _, _, values in first for name in values))
        self.report.file_columns = columns[: self.limits.columns]
        mapping = self._mapping(columns, task, asked)
        chosen = choose_split(split, columns, self.problems, self.second[1] if self.second else "")
        self._describe(mapping, chosen, guessed_split=split is None)
        rules = Rules(mapping, self.problems, self.limits, (chosen.column,))
        try:
            draft.open(chosen.seed)
            self._fill(draft, chain(first, rows), rules, chosen)
            if chosen.kind == "file" and self.second:
                self._fill_from_second(draft, rules, *self.second)
        finally:
            self._count(rules.good)
            self.report.labels = rules.labels.in_order()
            self.report.preview = draft.preview.rows
            self.report.offers |= rules.offers()
        self._conclude(draft, rules, chosen)

    def _mapping(self, columns: list[str], task: str | None, asked: dict[str, Any] | None) -> Mapping:
        """The parts; a column that no row can hold is an error only where it is needed."""
        unreadable = self.opened.unreadable
        for part, column in (asked or {}).items():
            if isinstance(column, str) and column in unreadable:
                message = f"The column `{column[:60]}`, asked for as {part}, holds {unreadable[column]}."
                raise self.problems.refuse("column_type", message, "Choose a column of text.", field=column)
        try:
            mapping = choose(columns, task, asked, self.problems)
        except Refused:
            for column, what in unreadable.items():
                message = f"The column `{column[:60]}` holds {what}, which no row can hold."
                self.problems.error("column_type", message, "Save it as text.", field=column)
            raise
        for column, what in unreadable.items():
            message = f"The column `{column[:60]}` holds {what}; it is not read."
            self.problems.notice("column_type", message, field=column)
        return mapping

    def _conclude(self, draft: Draft, rules: Rules, split: Split) -> None:
        rules.conclude()
        if not rules.good:
            raise self._no_rows()
        draft.tell_repeats(self.problems, split)
        undecided = self.choices.warnings == ASK and self.problems.undecided
        if not (self.problems.fatal or undecided or self.choices.step == CHECK):
            self._accept(draft.write(split, self.problems), rules)
            return
        if not self.problems.fatal:
            self.report.state = "needs_choice"
        if self.choices.step:
            self.report.sample = draft.write_sample()

    def _accept(self, written: Written, rules: Rules) -> None:
        self.report.state = "ready"
        index = written.index
        self.report.row_index = {"stride": index.stride, "offsets": index.offsets, "remarks": written.remarks}
        self.report.remarks_file = bool(written.remarks)
        self.report.rows["good"] = written.train + written.eval
        if written.left_out:
            self.report.rows["left_out"] = written.left_out
            self.report.labels = {label: written.labels.get(label, 0) for label in rules.labels.in_order()}
        self.report.rows |= {"train": written.train, "eval": written.eval}
        self.report.sha256, self.report.bytes, self.report.preview = written.sha256, written.bytes, written.preview

    def _no_rows(self) -> Refused:
        if self.problems.fatal:
            return Refused("no good row")
        return self.problems.refuse("no_rows", "The file has no rows.", "Add rows; a header alone is not enough.")

    def _count(self, good: int) -> None:
        self.report.rows |= {"read": good + self.problems.bad, "good": good, "bad": self.problems.bad}

    def _describe(self, mapping: Mapping, split: Split, guessed_split: bool) -> None:
        self.report.task, self.report.mapping, self.report.reasons = mapping.task, mapping.columns, mapping.reasons
        self.report.columns, self.report.split = list(mapping.columns), split.as_json()
        if guessed_split and split.kind == "column":
            self.report.reasons.append(f"Split as the column `{split.column}` says.")

    def _fill(self, draft: Draft, rows: Iterator[Row], rules: Rules, split: Split) -> None:
        """Every good row into the draft."""
        for row in rows:
            made = rules.canonical(row)
            self.progress.good = rules.good
            self.progress.tell()
            remarks = self.problems.remarks_on(row[1]) if self.problems.remarked else None
            side = self._side(row, split) if split.kind == "column" else int(split is HELD_OUT)
            if made is None or side is None:
                continue
            if draft.rows == self.limits.rows:
                message = f"The file has more than {self.limits.rows:,} rows, the limit."
                raise self.problems.refuse("too_many_rows", message, "Split the file.", line=row[0], row=row[1])
            draft.add(made, row[0], side, remarks)

    def _fill_from_second(self, draft: Draft, rules: Rules, source: Path, name: str) -> None:
        destination = self.destination.with_name(self.destination.name + SECOND)
        choices = self.choices.of_second()
        opened = Opened(source, name, destination, self.problems, self.limits, choices, "choose_second_entry")
        rules.labels.begin_file()
        self.problems.turn_to(name)
        try:
            self._fill(draft, opened.rows(), rules, HELD_OUT)
        finally:
            self.report.offers |= opened.offers()
            opened.discard()
        self.problems.turn_to(self.name)  # what follows is about all rows together

    def _side(self, row: Row, split: Split) -> int | None:
        """1 held out, 0 not; None after noting that the cell says neither."""
        value = row[2].get(split.column)
        said = value.strip().lower() if isinstance(value, str) else as_json(value)[:40]
        if said in NAMES:
            return int(NAMES[said] == "eval")
        message = f"Row {row[1]:,}: `{split.column}` is `{said[:40]}`, neither train nor eval."
        hint = "Write train, eval, test or validation; or split by fraction."
        self.problems.error("split_value", message, hint, line=row[0], row=row[1], field=split.column)
        return None


def _look(rows: Iterator[Row]) -> Iterator[Row]:
    """The first rows, as long as they are not too large to be held together."""
    held = 0
    for row in islice(rows, LOOKED_AT):
        yield row
        held += sum(len(value) for value in row[2].values() if isinstance(value, str))
        if held > LOOKED_AT_CHARACTERS:
            return


def read(
    source: Path,
    name: str,
    destination: Path,
    task: str | None = None,
    mapping: dict[str, Any] | None = None,
    split: dict[str, Any] | None = None,
    limits: Limits | None = None,
    choices: dict[str, Any] | None = None,
    second: tuple[Path, str] | None = None,
) -> Report:
    """Read `source` into canonical rows at `destination`, or into problems; see Report."""
    reading = Reading(source, name, destination, Choices.from_json(choices), limits or Limits(), second)
    return reading.run(task, mapping, split)
