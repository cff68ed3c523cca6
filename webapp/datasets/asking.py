"""What a program may ask of the check of a file that it sends, in words of its own or as fields of a form."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from ninja import Schema
from pydantic import Field

from webapp.datasets.choices import ASK
from webapp.datasets.deciding import how_to_read, require_split
from webapp.datasets.uploading import UploadRefused
from webapp.json_body import require_storable

EXAMPLES = {
    "mapping": '{"text": "review", "label": "stars"}',
    "split": '{"kind": "fraction", "fraction": 0.1}',
}


class HowToRead(Schema):
    """How the file is to be read; what is left out is found."""

    encoding: str = ""
    """Of what is not UTF-8: `windows-1252`, `shift_jis` …"""
    delimiter: str = ""
    """Of a CSV file: a comma, semicolon, tab or pipe."""
    header: str = ""
    """`first`: the first line of a CSV file names the columns. `none`: it is a row."""
    entry: str = ""
    """Which file of a zip to read."""


class Asked(HowToRead):
    """What a file is sent with."""

    task: str = ""
    warnings: Literal["", "accept", "ask"] = ""
    """`ask`: warnings wait for a choice, too."""
    step: Literal["", "columns"] = ""
    """`columns`: the beginning is looked at, and the version waits as a draft; see `dataset-versions/{id}/save`."""
    licence: Annotated[str, Field(max_length=120)] = ""
    """Of the dataset; left out, it stays as it is."""


class AskedInForm(Asked):
    """The same beside a file in a form, where objects are text."""

    mapping: str = ""
    """`{"text": "review", "label": "stars"}`"""
    split: str = ""
    """`{"kind": "fraction", "fraction": 0.1}`"""


def asked_of(sent: Asked, mapping: dict[str, Any] | None, split: dict[str, Any] | None) -> dict[str, Any]:
    """For version_from_stored. Raises UploadRefused where it can be asked of no file."""
    require_split(split)
    asked = {"task": sent.task, "mapping": mapping, "split": split, "licence": sent.licence.strip(), "step": sent.step}
    return asked | how_to_read(sent.dict()) | {"warnings": ASK if sent.warnings == ASK else ""}


def asked_in_form(sent: AskedInForm) -> dict[str, Any]:
    """Raises UploadRefused."""
    return asked_of(sent, _object("mapping", sent.mapping), _object("split", sent.split))


def _object(name: str, text: str) -> dict[str, Any] | None:
    """A form field that holds a JSON object."""
    if not text:
        return None
    try:
        value = json.loads(text)
        require_storable(value)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        message = f"`{name}` is not a JSON object."
        raise UploadRefused(f"dataset.{name}", message, f"Send something like {EXAMPLES[name]}.")
    return value
