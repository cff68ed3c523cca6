"""What a row of each task must hold; labels.py and chats.py know theirs, splitting.py the rows' sides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from webapp.datasets.chats import Chats
from webapp.datasets.json_faults import FIELD_WORDS
from webapp.datasets.json_rows import Row
from webapp.datasets.labels import Labels
from webapp.datasets.limits import MIB, Limits
from webapp.datasets.mapping import Mapping
from webapp.datasets.problems import Problems

OPTIONAL_PARTS = ("text_pair",)


@dataclass
class Rules:
    """Turns rows of one mapping into canonical ones, noting what is wrong with each and with all."""

    mapping: Mapping
    problems: Problems
    limits: Limits
    used_otherwise: tuple[str, ...] = ()
    """Columns that are read for something else than the mapping: the split."""
    good: int = 0
    empty: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    unused: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        columns = self.mapping.columns
        self.labels = Labels(columns.get("label", ""), self.problems, self.limits)
        self.chats = Chats(columns.get("messages", ""), self.problems)
        self.parts = list(columns.items())
        self.needed = [part for part in columns if part not in OPTIONAL_PARTS]
        self.known = {*columns.values(), *self.used_otherwise}

    def canonical(self, row: Row) -> dict[str, Any] | None:
        """The row under the parts' own names, or None after noting why not."""
        values = row[2]
        made = {part: self._part(part, column, row) for part, column in self.parts if column in values}
        if len(made) < len(self.parts):
            self._count_missing(row)
        if len(values) > len(made):
            self._count_unused(values)
        if any(value is None for value in made.values()) or any(part not in made for part in self.needed):
            return None
        if "label" in made:
            self.labels.add(made["label"], values[self.labels.column], row[0], row[1])
        self.good += 1
        return made

    def _error(self, row: Row, code: str, message: str, hint: str, column: str) -> None:
        self.problems.error(code, message, hint, line=row[0], row=row[1], field=column)

    def _count_missing(self, row: Row) -> None:
        for part, column in self.parts:
            if column in row[2]:
                continue
            if part in OPTIONAL_PARTS:
                self.missing[column] += 1
            else:
                self._lacks(column, row)

    def _lacks(self, column: str, row: Row) -> None:
        self._error(
            row, "missing_field", f"Row {row[1]:,} has no `{column}`.", "Fill it in, or remove the row.", column
        )

    def _part(self, part: str, column: str, row: Row) -> Any:
        value = row[2][column]
        if part == "label":
            return self._label(value, row)
        return self.chats.read(value, row) if part == "messages" else self._text(column, value, row)

    def _text(self, column: str, value: Any, row: Row) -> str | None:
        if not isinstance(value, str):
            message = f"{place(row)}: `{column}` is {FIELD_WORDS[type(value)]}, where text is wanted."
            self._error(row, "type_changed", message, "Write it as text, in quotes.", column)
            return None
        if len(value) > self.limits.field_characters:
            limit = f"{self.limits.field_characters / MIB:g} MiB"
            message = f"Row {row[1]:,}: `{column}` has {len(value):,} characters; the limit is {limit}."
            self._error(row, "field_too_long", message, "Cut the text.", column)
            return None
        if not value or value.isspace():
            self.empty[column] += 1
            message = f"Row {row[1]:,}: `{column}` is empty."
            hint = "Fill it in, or remove the row, unless it is meant so."
            self.problems.warn("empty_text", message, hint, line=row[0], row=row[1], field=column)
        return value

    def _label(self, value: Any, row: Row) -> str | None:
        column = self.labels.column
        if isinstance(value, list | dict):
            message = f"{place(row)}: `{column}` is {FIELD_WORDS[type(value)]}, where one label is wanted."
            self._error(row, "type_changed", message, "Write one label as text or number.", column)
            return None
        label = str(value).lower() if isinstance(value, bool) else str(value)
        if value is None or not label.strip():
            self._lacks(column, row)
            return None
        if len(label) > self.limits.label_characters:
            message = f"Row {row[1]:,}: the label has {len(label):,} characters; the limit is "
            message += f"{self.limits.label_characters:,}. Is `{column}` the right column?"
            self._error(row, "label_too_long", message, "Choose the column that holds the labels.", column)
            return None
        return self.labels.spelling(label)

    def offers(self) -> dict[str, Any]:
        """By fix, how the first places would read."""
        found: dict[str, Any] = {}
        if self.chats.converted:
            found["convert_sharegpt"] = [{"value": "", "name": "role and content", "changes": self.chats.converted}]
        if renamed := self.labels.renamed():
            found["trim_labels"] = [{"value": "", "name": "written alike", "changes": renamed}]
        if numbers := self.labels.plainly():
            found["convert_numbers"] = numbers
        return found

    # ---- All rows together ------------------------------------------------------------------------

    def _count_unused(self, names: Iterable[str]) -> None:
        for name in names:
            if name not in self.known and (name in self.unused or len(self.unused) < self.limits.columns):
                self.unused[name] += 1

    def conclude(self) -> None:
        """What only shows once all rows are read."""
        for column, count in self.empty.items():
            if count == self.good:
                message = f"In all {count:,} rows `{column}` is empty." if count > 1 else f"`{column}` is empty."
                self.problems.error("empty_text", message, "Is this the right column?", count=0, field=column)
        for column, count in self.missing.items():
            message = f"{count:,} of {self.good:,} rows have no `{column}`; they are read without it."
            self.problems.notice("missing_optional", message, field=column)
        if self.unused:
            named = ", ".join(
                f"`{name[:40]}` ({count:,} {'row' if count == 1 else 'rows'})"
                for name, count in self.unused.most_common(10)
            )
            self.problems.notice("unused_columns", f"Not used: {named}.", count=len(self.unused))
        self.labels.conclude()


def place(row: Row) -> str:
    """`Line 3`, or `Row 3` where a file has no lines."""
    return f"Row {row[1]:,}" if row[0] is None else f"Line {row[0]:,}"
