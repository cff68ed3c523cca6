"""How a request for a job is refused: every field that is wrong, the reason and the fix."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FieldProblem:
    """One thing that is wrong with a form or request: the field, the reason, the fix."""

    field: str
    code: str
    message: str
    hint: str


class LaunchRefused(Exception):
    """The job cannot be queued as asked; nothing was stored (422)."""

    def __init__(self, problems: list[FieldProblem]) -> None:
        super().__init__(" ".join(problem.message for problem in problems))
        self.problems = problems
