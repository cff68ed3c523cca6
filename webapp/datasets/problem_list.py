"""The full list of problems as CSV that a spreadsheet may open: no cell can be taken for a formula."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import IO, Any

from webapp.datasets.problems import Problem

COLUMNS = ("severity", "code", "line", "row", "column", "field", "count", "message", "hint", "excerpt")
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def harmless(value: Any) -> str:
    """A cell as text; what a spreadsheet would compute gets a quote in front. Numbers stay numbers."""
    text = "" if value is None else str(value)
    if text.startswith(FORMULA) and not _is_number(text):
        return f"'{text}"
    return text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


class ProblemList:
    """Writes problems as they are found, up to a limit."""

    def __init__(self, path: Path, limit: int) -> None:
        self.path, self.left = path, limit
        self.file: IO[str] | None = None

    def add(self, problem: Problem) -> None:
        if self.left <= 0:
            return
        if self.file is None:
            self.file = self.path.open("w", encoding="utf-8", newline="")
            self.writer = csv.writer(self.file)
            self.writer.writerow(COLUMNS)
        self.left -= 1
        where = problem.where
        cells = (problem.severity, problem.code, where.line, where.row, where.column, where.field, problem.count)
        self.writer.writerow([harmless(cell) for cell in (*cells, problem.message, problem.hint, where.excerpt)])

    def close(self) -> None:
        if self.file is not None:
            self.file.close()
