"""Decisions for programs: about problems of a saved version, and about a draft at each step until it is saved."""

from __future__ import annotations

from typing import Annotated, Any

from ninja import File, Form, Router, Schema, Status
from ninja.files import UploadedFile
from pydantic import Field

from webapp.datasets import drafting
from webapp.datasets.api import version_answer, version_to_change
from webapp.datasets.asking import HowToRead
from webapp.datasets.choices import CHECK, COLUMNS, SAVE
from webapp.datasets.deciding import decide

drafts = Router(tags=["datasets"])


class Decision(Schema):
    """One fix for every place of one kind of problem; `accept` for a warning; empty, it takes back the one before."""

    code: str
    fix: str
    value: str = ""
    """The encoding, or the entry of a zip."""


class Decisions(Schema):
    """What shall be different when the same upload is read again."""

    fixes: list[Decision] = []
    task: str = ""
    mapping: dict[str, str] | None = None
    split: dict[str, Any] | None = None
    encoding: str = ""
    delimiter: str = ""
    header: str = ""
    entry: str = ""
    warnings: str = ""


@drafts.post("{version_id}/choices", response={201: dict[str, Any]})
def choose(request: Any, version_id: int, choices: Decisions) -> Any:
    """Read the same upload again with these choices, as a new version; a draft stays the version that it is."""
    version = version_to_change(request, version_id)
    act = {COLUMNS: drafting.check_all, CHECK: drafting.settle, SAVE: drafting.settle}.get(version.step, decide)
    return Status(201, version_answer(act(request.auth.user, version, choices.dict())))


class Saving(Schema):
    """What a draft is saved as."""

    name: Annotated[str, Field(max_length=120)] = ""
    """Of the dataset; that of another one makes this its next version. Left out: as it is."""
    licence: Annotated[str | None, Field(max_length=120)] = None
    split: dict[str, Any] | None = None
    """`{"kind": "fraction", "fraction": 0.1, "seed": 17}`, `{"kind": "column", "column": …}` or `{"kind": "file"}`."""


@drafts.post("{version_id}/look", response={201: dict[str, Any]})
def look_again(request: Any, version_id: int, choices: Decisions) -> Any:
    """Look at the beginning of a draft's file again, read with these choices."""
    version = version_to_change(request, version_id)
    return Status(201, version_answer(drafting.look_again(request.auth.user, version, choices.dict())))


@drafts.post("{version_id}/second-file", response={201: dict[str, Any]})
def add_second_file(request: Any, version_id: int, file: File[UploadedFile], read: Form[HowToRead]) -> Any:
    """A file whose rows are all held out, once the draft is saved with the split `{"kind": "file"}`."""
    version = version_to_change(request, version_id)
    return Status(201, version_answer(drafting.add_second_file(request.auth.user, version, file, read.dict())))


@drafts.post("{version_id}/save", response={201: dict[str, Any]})
def save(request: Any, version_id: int, wanted: Saving) -> Any:
    """Write the rows of a draft whose columns and problems are decided; its state says how that ends."""
    version = version_to_change(request, version_id)
    saved = drafting.save(request.auth.user, version, wanted.name, wanted.licence, wanted.split)
    return Status(201, version_answer(saved))
