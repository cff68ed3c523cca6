"""What a person decided about a file, besides task, mapping and split: fixes, encoding, delimiter, entry of a zip."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

COLUMNS, CHECK, SAVE = "columns", "check", "save"
"""The steps that a person goes from file to saved version; without them everything is done in one go."""
DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
HEADERS = {"first": "holds the columns' names", "none": "is a row"}
"""What the first line of a CSV file may be."""
ASK = "ask"


@dataclass(frozen=True)
class Choices:
    """Everything empty: find out, and offer fixes."""

    fixes: dict[str, str] = field(default_factory=dict)
    """Code without prefix -> fix, or `accept` for a warning."""
    encoding: str = ""
    delimiter: str = ""
    header: str = ""
    """`first`: the first line of a CSV file names the columns. `none`: it is a row. Left out: see csv_rows.py."""
    entry: str = ""
    second: dict[str, str] = field(default_factory=dict)
    """Encoding, delimiter, header and entry of a second file, where they are not those of the first."""
    renamed: str = ""
    """What to remark on the file's name; no decision, but it comes the same way."""
    warnings: str = ""
    """`ask`: warnings wait for a person, too."""
    step: str = ""
    """`columns`: only the beginning is looked at. `check`: everything is read, nothing is written."""

    def of_second(self) -> Choices:
        """For the second file: its encoding and header are the first one's unless others were given."""
        own: dict[str, Any] = {"delimiter": "", "entry": ""} | {
            name: value for name, value in self.second.items() if value
        }
        return replace(self, **own)

    @classmethod
    def from_json(cls, value: dict[str, Any] | None) -> Choices:
        known = {name: value[name] for name in cls.__dataclass_fields__ if value and value.get(name)}
        return cls(**known)
