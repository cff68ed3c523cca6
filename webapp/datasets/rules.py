"""What a row of each task must hold, and what all rows together must: labels, turns, text."""

from __future__ import annotations

import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from webapp.datasets.json_rows import Row
from webapp.datasets.limits import Limits
from webapp.datasets.mapping import Mapping
from webapp.datasets.problems import Problems

ROLES = ("system", "user", "assistant", "tool")
UNBALANCED = 20
KINDS = {list: "a list", dict: "an object", bool: "true or false", int: "a number", float: "a number"}


@dataclass
class Rules:
    """Turns rows of one mapping into canonical ones, noting what is wrong with each and with all."""

    mapping: Mapping
    problems: Problems
    limits: Limits
    labels: Counter[str] = field(default_factory=Counter)
    label_kinds: dict[str, tuple[type, int]] = field(default_factory=dict)
    seen: set[int] = field(default_factory=set)
    repeated: int = 0

    def canonical(self, row: Row) -> dict[str, Any] | None:
        """The row under the parts' own names, or None after noting why not."""
        _, number, values = row
        made: dict[str, Any] = {}
        for part, column in self.mapping.columns.items():
            if values.get(column) is None:
                what = f"Row {number:,} has no `{column}`."
                self._error(row, "missing_field", what, "Fill it in, or remove the row.", column)
                return None
            value = self._part(part, column, values[column], row)
            if value is None:
                return None
            made[part] = value
        self._count(made)
        return made

    def _error(self, row: Row, code: str, message: str, hint: str, column: str | None = None) -> None:
        self.problems.error(code, message, hint, line=row[0], row=row[1], field=column)

    def _part(self, part: str, column: str, value: Any, row: Row) -> Any:
        if part == "label":
            return self._label(column, value, row)
        if part == "messages":
            return self._messages(column, value, row)
        return self._text(column, value, row)

    def _text(self, column: str, value: Any, row: Row) -> str | None:
        if not isinstance(value, str):
            kind = KINDS[type(value)]
            place = f"Line {row[0]:,}" if row[0] else f"Row {row[1]:,}"
            message = f"{place}: `{column}` is {kind}, where text is wanted."
            self._error(row, "type_changed", message, "Write it as text, in quotes.", column)
            return None
        if not value.strip():
            message = f"Row {row[1]:,}: `{column}` is empty."
            self._error(row, "empty_text", message, "Fill it in, or remove the row.", column)
            return None
        return value

    # ---- Labels ---------------------------------------------------------------------------------

    def _label(self, column: str, value: Any, row: Row) -> str | None:
        if isinstance(value, list | dict):
            message = f"Row {row[1]:,}: `{column}` is {KINDS[type(value)]}, where one label is wanted."
            self._error(row, "type_changed", message, "Write one label as text or number.", column)
            return None
        label = str(value).lower() if isinstance(value, bool) else str(value)
        if not label.strip():
            self._error(row, "missing_field", f"Row {row[1]:,} has no `{column}`.", "Fill it in.", column)
            return None
        first = self.label_kinds.setdefault(label, (type(value), row[1]))
        if first[0] is not type(value):
            message = (
                f"The label {label} is written as a number and as text, first in rows {first[1]:,} and {row[1]:,}."
            )
            self._error(row, "mixed_label_types", message, "Write it the same way everywhere.", column)
            return None
        return label

    # ---- Chat -----------------------------------------------------------------------------------

    def _messages(self, column: str, value: Any, row: Row) -> list[dict[str, str]] | None:
        if not isinstance(value, list):
            kind = KINDS.get(type(value), "text")
            message = f"Row {row[1]:,}: `{column}` is {kind}, where a list of messages is wanted."
            self._error(row, "type_changed", message, 'Write [{"role": "user", "content": "…"}, …].', column)
            return None
        if not value:
            message = f"Row {row[1]:,} has no messages."
            self._error(row, "empty_messages", message, "Add messages, or remove the row.", column)
            return None
        turns = [self._turn(column, turn, place, row) for place, turn in enumerate(value, start=1)]
        if any(turn is None for turn in turns):
            return None
        return self._whole_chat([turn for turn in turns if turn is not None], column, row)

    def _turn(self, column: str, turn: Any, place: int, row: Row) -> dict[str, str] | None:
        where = f"Row {row[1]:,}, message {place}"
        if not isinstance(turn, dict) or "role" not in turn or "content" not in turn:
            hint = 'Write {"role": "user", "content": "…"}.'
            if isinstance(turn, dict) and {"from", "value"} <= turn.keys():
                hint = "Rename `from` to `role` (human is user, gpt is assistant) and `value` to `content`."
            self._error(row, "message_shape", f"{where} lacks role or content.", hint, column)
        elif turn["role"] not in ROLES:
            message = f"{where}: role `{str(turn['role'])[:40]}`; known are {', '.join(ROLES)}."
            self._error(row, "unknown_role", message, "Use one of these.", column)
        elif isinstance(turn["content"], list):
            message = f"{where}: the content is a list. The base model takes text only."
            self._error(row, "multimodal_content", message, "Write the content as text.", column)
        elif not isinstance(turn["content"], str) or not turn["content"].strip():
            self._error(row, "empty_text", f"{where} is empty.", "Fill it in, or remove it.", column)
        else:
            return {"role": turn["role"], "content": turn["content"]}
        return None

    def _whole_chat(self, turns: list[dict[str, str]], column: str, row: Row) -> list[dict[str, str]] | None:
        roles = [turn["role"] for turn in turns]
        if "assistant" not in roles:
            message = f"Row {row[1]:,} has no assistant message, so nothing to train on."
            self._error(row, "no_assistant_turn", message, "Add the answer with the role assistant.", column)
            return None
        if "system" in roles[1:]:
            message = f"Row {row[1]:,}: a system message stands after the first place."
            self._error(row, "system_not_first", message, "Put it first.", column)
            return None
        spoken = [role for role in roles if role in ("user", "assistant")]
        if any(left == right for left, right in pairwise(spoken)):
            message = f"Row {row[1]:,}: two turns of the same role follow each other."
            hint = "Some base models' templates refuse this; join the turns if so."
            self.problems.warn("turns_not_alternating", message, hint, line=row[0], row=row[1], field=column)
        return turns

    # ---- All rows together ------------------------------------------------------------------------

    def _count(self, made: dict[str, Any]) -> None:
        if "label" in made:
            self.labels[made["label"]] += 1
        mark = hash(repr(made))
        self.repeated += mark in self.seen
        self.seen.add(mark)

    def conclude(self, good: int) -> None:
        """What only shows at the end: duplicates, and whether the labels can be learned."""
        if self.repeated:
            message = f"{self.repeated:,} rows repeat an earlier one word for word."
            self.problems.warn(
                "duplicate_row", message, "Keep one of each if they are there by mistake.", count=self.repeated
            )
        if self.mapping.task == "text-classification" and good:
            self._conclude_labels(good)

    def _conclude_labels(self, good: int) -> None:
        column = self.mapping.columns["label"]
        if len(self.labels) == 1:
            label = next(iter(self.labels))
            message = f"All {good:,} rows have the label `{label[:60]}`."
            self.problems.error("one_class", message, "Add rows with another label.", field=column)
        if len(self.labels) > self.limits.labels:
            message = f"{len(self.labels):,} labels in {good:,} rows: is this the right column?"
            hint = f"Choose a column with at most {self.limits.labels:,} labels."
            self.problems.error("too_many_classes", message, hint, field=column)
            return
        self._warn_of_alike(column)
        for label in sorted(label for label, count in self.labels.items() if count == 1):
            message = f"Only one row has the label `{label[:60]}`, so it cannot stand in both training and evaluation."
            self.problems.warn("class_too_small", message, "Add rows with this label.", field=column)
        most, least = max(self.labels.values()), min(self.labels.values())
        if most > UNBALANCED * least:
            message = f"The largest label has {most:,} rows, the smallest {least:,}."
            self.problems.warn("labels_unbalanced", message, "Look at F1 beside accuracy.", field=column)

    def _warn_of_alike(self, column: str) -> None:
        alike: dict[str, list[str]] = {}
        for label in self.labels:
            alike.setdefault(unicodedata.normalize("NFKC", label).strip().casefold(), []).append(label)
        for same in (each for each in alike.values() if len(each) > 1):
            named = " and ".join(f"`{label[:40]}` ({self.labels[label]:,})" for label in sorted(same))
            message = f"The labels {named} differ only by space, case or form."
            self.problems.warn(
                "labels_differ_by_space", message, "Write them alike if they mean the same.", field=column
            )
