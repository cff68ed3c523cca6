"""How far a check is, told while it runs: rows read and the first problems, in one small file that is always whole."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webapp.datasets.problems import Problems

PROGRESS = ".progress"
FIRST_SECONDS, EVERY_SECONDS = 0.5, 1.0
"""After the start, and between two writings."""


@dataclass
class Progress:
    """Written by the child that reads; asked at every row and every problem, so that neither needs the other."""

    path: Path
    problems: Problems
    good: int = 0

    def __post_init__(self) -> None:
        self.due = time.monotonic() + FIRST_SECONDS

    def tell(self) -> None:
        """Write it, where it is time to."""
        if time.monotonic() < self.due:
            return
        told = {"rows": self.good + self.problems.bad, "problems": self.problems.as_json()}
        told["problems_total"] = self.problems.total
        new = self.path.with_name(self.path.name + ".new")
        new.write_text(json.dumps(told))
        new.replace(self.path)
        self.due = time.monotonic() + EVERY_SECONDS

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)


def told_in(destination: Path) -> dict[str, Any]:
    """What the child that writes this destination said last; nothing yet where it has not."""
    try:
        found: dict[str, Any] = json.loads(destination.with_name(destination.name + PROGRESS).read_text())
    except FileNotFoundError:
        return {}
    return found
