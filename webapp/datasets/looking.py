"""A look at the beginning of a file: how it is read, and what its columns seem to be. Nothing is written.

A person confirms or changes what it found, and only then all rows are read.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from webapp.datasets.canonical import Preview
from webapp.datasets.encodings import CHOICES
from webapp.datasets.guessing import guess
from webapp.datasets.json_rows import Row
from webapp.datasets.limits import Limits
from webapp.datasets.mapping import Mapping, choose
from webapp.datasets.opening import Opened
from webapp.datasets.problems import Problems, Refused
from webapp.datasets.rules import Rules

SHOWN_ROWS, SHOWN_COLUMNS, SHOWN_CHARACTERS = 3, 60, 300


def understood(
    columns: list[str], rows: list[Row], task: str | None, asked: dict[str, Any] | None, problems: Problems
) -> Mapping | None:
    """What was asked for, else what the names say, else what the content does; None where nothing fits.

    What was asked for and does not fit is a problem, not only passed over.
    """
    unnoted = Problems("")
    for each_task, each_asked, noted in ((task, asked, problems), (task, None, unnoted), (None, None, unnoted)):
        try:
            return choose(columns, each_task, each_asked, noted if each_asked else unnoted)
        except Refused:
            continue
    return guess(columns, [values for _, _, values in rows])


def found_in(opened: Opened, columns: list[str], rows: list[Row]) -> dict[str, Any]:
    """For the model's field of this name."""
    shown = columns[:SHOWN_COLUMNS]
    first = [[_clipped(values.get(name)) for name in shown] for _, _, values in rows[:SHOWN_ROWS]]
    return {"encoding": _encoding(opened), **opened.table, "columns": shown, "rows": first, "looked_at": len(rows)}


def read_so(mapping: Mapping, rows: list[Row], limits: Limits) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """The first rows as they will be read, and the labels among those that were looked at."""
    problems = Problems("", chosen={"sharegpt": "convert_sharegpt"})
    rules = Rules(mapping, problems, limits)
    made = [row for row in map(rules.canonical, rows) if row is not None]
    preview = Preview(limits.preview_characters)
    for row in made[:SHOWN_ROWS]:
        preview.add(row)
    labels = Counter(row["label"] for row in made if "label" in row)
    return preview.rows, dict(labels.most_common(limits.labels))


def as_json(value: Any) -> str:
    """Any value of a cell, nested dates and bytes of Parquet and Arrow too, which JSON has no word for."""
    return json.dumps(value, ensure_ascii=False, default=_worded)


def _worded(value: Any) -> str:
    return f"{len(value):,} bytes" if isinstance(value, bytes) else str(value)


def _encoding(opened: Opened) -> str:
    """Empty for files that have none."""
    if not opened.is_text:
        return ""
    if opened.choices.encoding:
        return f"{CHOICES[opened.choices.encoding]} where it is not UTF-8, as chosen"
    if opened.decoder.samples:
        return "not UTF-8"
    return "UTF-16, as its mark says" if opened.converted.exists() else "UTF-8"


def _clipped(value: Any) -> str:
    text = "" if value is None else value if isinstance(value, str) else as_json(value)
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"
