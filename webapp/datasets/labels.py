"""What all labels together must be: of one kind, more than one, not too many, not confusable."""

from __future__ import annotations

import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from webapp.datasets.limits import Limits
from webapp.datasets.numerals import SIGNS, odd_ones, plain
from webapp.datasets.problems import Problems

UNBALANCED = 20
HOPELESS = 100
"""Times the limit of labels at which reading on only costs memory."""
BAD_SHARE = 10
"""One bad row in so many good ones still lets us judge the labels; more bad rows do not."""
CONVERT, CHANGES_SHOWN = "convert_numbers", 20
KIND_NAMES = {bool: "true or false", int: "a number", float: "a number", str: "text"}


@dataclass
class Labels:
    """The labels of one file, counted while its rows are read."""

    column: str
    problems: Problems
    limits: Limits
    counts: Counter[str] = field(default_factory=Counter)
    first: dict[tuple[str, str], tuple[int | None, int]] = field(default_factory=dict)
    """(label, kind of value) -> line and row where it first stood."""

    spellings: dict[str, str] = field(default_factory=dict)
    """What labels have in common -> how the first of them is written."""

    converted: int = 0
    """Rows whose number was written plainly, as chosen."""

    def __post_init__(self) -> None:
        fix, _, sign = self.problems.chosen.get("number_format", "").partition(":")
        self.sign = sign if fix == CONVERT else ""

    def spelling(self, label: str) -> str:
        """The label itself; where that was chosen, as the first one like it is written, or as a plain number."""
        if self.problems.chosen.get("labels_differ_by_space") == "trim_labels":
            label = self.spellings.setdefault(_likeness(label), label.strip())
        if not self.sign:
            return label
        number = plain(label, self.sign)
        self.converted += number not in (None, label)
        return label if number is None else number

    def renamed(self) -> list[dict[str, Any]]:
        """What the fix would change: the first labels that would be written otherwise."""
        first: dict[str, str] = {}
        changes = []
        for label in self.counts:
            spelt = first.setdefault(_likeness(label), label.strip())
            if spelt != label:
                changes.append(
                    {"line": None, "text": f"`{label[:60]}` -> `{spelt[:60]}` ({self.counts[label]:,} rows)"}
                )
        return changes[:CHANGES_SHOWN]

    def plainly(self) -> list[dict[str, Any]]:
        """By decimal sign, where both can be meant, how the first numbers would read."""
        odd = odd_ones(self.counts) if len(self.counts) <= self.limits.labels else []
        if not odd:
            return []
        read = {sign: {label: plain(label, sign) for label in self.counts} for sign in SIGNS}
        signs = ["point"] if read["point"] == read["comma"] else list(SIGNS)
        return [{"value": sign, "name": f"decimal {sign}", "changes": self._changes(read[sign])} for sign in signs]

    def _changes(self, read: dict[str, str | None]) -> list[dict[str, Any]]:
        changed = {label: number for label, number in read.items() if number != label}
        places = {label: line for (label, _), (line, _) in reversed(self.first.items())}
        return [
            {"line": places.get(label), "text": f"{label} → {number} ({self.counts[label]:,} rows)"}
            for label, number in list(changed.items())[:CHANGES_SHOWN]
        ]

    def add(self, label: str, value: Any, line: int | None, row: int) -> None:
        """Count one. Raises Refused where there are hopelessly many."""
        self.counts[label] += 1
        kind = KIND_NAMES[int if self.sign else type(value)]  # converted, 1 and "1,0" are one number
        if (key := (label, kind)) not in self.first:
            self.first[key] = line, row
            if len(self.counts) > HOPELESS * self.limits.labels:
                raise self.problems.refuse("too_many_classes", self._many("over "), self._fewer(), field=self.column)

    def _many(self, over: str = "") -> str:
        return f"{over}{len(self.counts):,} labels in {self.counts.total():,} rows: is this the right column?"

    def _fewer(self) -> str:
        return f"Choose a column with at most {self.limits.labels:,} labels."

    def conclude(self) -> None:
        """What only shows once all rows are read."""
        good, field_ = self.counts.total(), self.column
        if not good:
            return
        self._tell_mixed()
        if len(self.counts) > self.limits.labels:
            self.problems.error("too_many_classes", self._many(), self._fewer(), field=field_)
            return
        self._tell_numbers()
        self._warn_of_alike()
        if self.problems.bad * BAD_SHARE > good:
            return  # the rest may look otherwise once those rows are mended
        if len(self.counts) == 1:
            rows = f"All {good:,} rows have" if good > 1 else "The only row has"
            message = f"{rows} the label `{next(iter(self.counts))[:60]}`."
            self.problems.error("one_class", message, "Add rows with another label.", field=field_)
            return
        self._warn_of_few()

    def begin_file(self) -> None:
        """A second file follows, whose format may write the same labels otherwise."""
        self._tell_mixed()
        self.first.clear()

    def _tell_mixed(self) -> None:
        places: dict[str, list[tuple[int, int | None, str]]] = {}
        for (label, kind), (line, row) in self.first.items():
            places.setdefault(label, []).append((row, line, kind))
        for label, found in places.items():
            if len(found) > 1:
                in_order = sorted(found, key=lambda each: each[0])
                told = " and ".join(f"as {kind} (first in row {row:,})" for row, _, kind in in_order)
                message = f"The label {label[:60]} is written {told}."
                row, line, _ = in_order[1]
                hint = "Write it the same way everywhere."
                where = {"line": line, "row": row, "field": self.column}
                self.problems.error("mixed_label_types", message, hint, fixes=[], **where)

    def _tell_numbers(self) -> None:
        """Numbers of one column that are not all written plainly: one of them may stand there in two ways."""
        if self.converted:
            message = f"{self.converted:,} numbers were written plainly, as chosen."
            self.problems.notice("numbers_converted", message, count=self.converted, field=self.column)
        for label in odd_ones(self.counts):
            line, row = next((place for (each, _), place in self.first.items() if each == label), (None, None))
            message = f"Row {row:,}: `" if row else "`"  # unknown, once a second file was read
            message += f"{self.column}` is `{label[:60]}`, where other rows have numbers written otherwise."
            hint = "Write them all as 1234.5, or have them converted."
            where = {"line": line, "row": row, "field": self.column, "count": self.counts[label]}
            self.problems.error("number_format", message, hint, fixes=[CONVERT], **where)

    def _warn_of_alike(self) -> None:
        alike: dict[str, list[str]] = {}
        for label in self.counts:
            alike.setdefault(_likeness(label), []).append(label)
        for same in (each for each in alike.values() if len(each) > 1):
            named = " and ".join(f"`{label[:40]}` ({self.counts[label]:,})" for label in sorted(same))
            message = f"The labels {named} differ only by space, case or form."
            hint = "Write them alike if they mean the same."
            self.problems.warn("labels_differ_by_space", message, hint, field=self.column)

    def _warn_of_few(self) -> None:
        for label in sorted(label for label, count in self.counts.items() if count == 1):
            message = f"Only one row has the label `{label[:60]}`, so it cannot stand in both training and evaluation."
            self.problems.warn("class_too_small", message, "Add rows with this label.", field=self.column)
        most, least = max(self.counts.values()), min(self.counts.values())
        if most > UNBALANCED * least:
            message = f"The largest label has {most:,} rows, the smallest {least:,}."
            self.problems.warn("labels_unbalanced", message, "Look at F1 beside accuracy.", field=self.column)

    def in_order(self) -> dict[str, int]:
        """Label -> rows, in the order of the label ids: numbers by value, then words."""
        return {label: self.counts[label] for label in sorted(self.counts, key=_natural)}


def _likeness(label: str) -> str:
    """Equal for labels that differ only by outer space, case or Unicode form."""
    return unicodedata.normalize("NFKC", label).strip().casefold()


def _natural(label: str) -> tuple[int, int, str]:
    number = label.isascii() and label.removeprefix("-").isdigit() and len(label) < 20
    return (0, int(label), label) if number else (1, 0, label)
