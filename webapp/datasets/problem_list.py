"""The full list of problems as CSV that a spreadsheet may open: no cell can be taken for a formula."""

from __future__ import annotations

import csv
import io
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


def as_lines(problems: list[dict[str, Any]], header: bool = False) -> bytes:
    """Problems that are no file yet, as lines of the list."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerows([COLUMNS] * header)
    writer.writerows(_cells(each["where"], each) for each in problems)
    return text.getvalue().encode()


def _cells(where: dict[str, Any], told: dict[str, Any]) -> list[str]:
    values = [where[name] if name in where else told[name] for name in COLUMNS]
    return [harmless(value) for value in values]


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
        self.writer.writerow(_cells(vars(problem.where), vars(problem)))

    def close(self) -> None:
        if self.file is not None:
            self.file.close()
