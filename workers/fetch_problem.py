"""Why something could not be fetched, in the words that people read."""

from __future__ import annotations


class FetchProblem(Exception):
    """A code, a sentence with the place and the reason, and the fix."""

    def __init__(self, code: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.code, self.message, self.hint = code, message, hint
        self.problem = {"code": code, "message": message, "hint": hint}


def size_text(size: int) -> str:
    """A download's size for people."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} bytes"
