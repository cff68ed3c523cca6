"""Log lines as plain text, whatever a worker sent: no terminal codes, no characters that hide or turn others."""

from __future__ import annotations

import re

MAX_TEXT = 8192
"""Characters of one line that are kept."""
LEVELS = {"debug": "info", "info": "info", "warning": "warning", "error": "error", "critical": "error"}
ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b.?", re.DOTALL)
HIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    """What a terminal would show in the end: codes are gone, and of an overwritten line its last writing is left."""
    lines = (line.rstrip("\r").rsplit("\r", 1)[-1] for line in ESCAPES.sub("", text).split("\n"))
    return HIDDEN.sub("", "\n".join(lines))


def level_of(said: str) -> str:
    """One of info, warning and error."""
    return LEVELS.get(said.lower(), "info")
