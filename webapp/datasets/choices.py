"""What a person decided about a file, besides task, mapping and split: fixes, encoding, delimiter, entry of a zip."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
ASK = "ask"


@dataclass(frozen=True)
class Choices:
    """Everything empty: find out, and offer fixes."""

    fixes: dict[str, str] = field(default_factory=dict)
    """Code without prefix -> fix, or `accept` for a warning."""
    encoding: str = ""
    delimiter: str = ""
    entry: str = ""
    warnings: str = ""
    """`ask`: warnings wait for a person, too."""

    @classmethod
    def from_json(cls, value: dict[str, Any] | None) -> Choices:
        known = {name: value[name] for name in cls.__dataclass_fields__ if value and value.get(name)}
        return cls(**known)
