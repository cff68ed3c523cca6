"""Rows and labels as the pages show them."""

from __future__ import annotations

import json
from typing import Any

from webapp.datasets.browsing import rows_page
from webapp.datasets.models import DatasetVersion

ROWS_SHOWN = 20


def shown_rows(version: DatasetVersion) -> dict[str, Any]:
    """The first rows as they are stored; before that, what the check has read. With the labels as bars."""
    try:
        shown = rows_page(version, 0, ROWS_SHOWN) if version.file_key else list(version.preview)[:ROWS_SHOWN]
    except OSError:
        shown = list(version.preview)[:ROWS_SHOWN]
    columns = list(dict.fromkeys(name for row in shown for name in row))
    most = max(version.labels.values(), default=1)
    return {
        "columns": columns,
        "table": [[cell(row.get(name)) for name in columns] for row in shown],
        "labels": [(name, count, 100 * count / most) for name, count in version.labels.items()],
    }


def cell(value: Any, most: int = 2000) -> dict[str, Any]:
    """Chat messages as lines with their role, all else as text; of each at most so many characters."""
    if isinstance(value, list) and all(isinstance(each, dict) for each in value):
        return {"messages": [(each.get("role", ""), _clipped(_spoken(each), most)) for each in value]}
    return {"text": "" if value is None else _clipped(value, most)}


def _spoken(turn: dict[str, Any]) -> str:
    """What a turn says, and which tools it calls with what."""
    functions = [call.get("function", {}) for call in turn.get("tool_calls") or []]
    calls = [f"calls {each.get('name')} {json.dumps(each.get('arguments'), ensure_ascii=False)}" for each in functions]
    return " · ".join([str(turn.get("content") or ""), *calls] if turn.get("content") or not calls else calls)


def _clipped(value: Any, most: int) -> str:
    text = str(value)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def said(code: str) -> str:
    """A kind of problem in words: `empty_text` as empty text."""
    return code.removeprefix("dataset.").replace("_", " ")
