"""Drafts for programs: a file is looked at, its columns and problems decided upon, and only then saved."""

from __future__ import annotations

from typing import Annotated, Any

from ninja import File, Router, Schema, Status
from ninja.files import UploadedFile
from pydantic import Field

from webapp.datasets import drafting
from webapp.datasets.api import Decisions, version_answer, version_of

drafts = Router(tags=["datasets"])


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
    return Status(
        201, version_answer(drafting.look_again(request.auth.user, version_of(request, version_id), choices.dict()))
    )


@drafts.post("{version_id}/second-file", response={201: dict[str, Any]})
def add_second_file(request: Any, version_id: int, file: File[UploadedFile]) -> Any:
    """A file whose rows are all held out, once the draft is saved with the split `{"kind": "file"}`."""
    version = version_of(request, version_id)
    return Status(201, version_answer(drafting.add_second_file(request.auth.user, version, file)))


@drafts.post("{version_id}/save", response={201: dict[str, Any]})
def save(request: Any, version_id: int, wanted: Saving) -> Any:
    """Write the rows of a draft whose columns and problems are decided; its state says how that ends."""
    version = version_of(request, version_id)
    saved = drafting.save(request.auth.user, version, wanted.name, wanted.licence, wanted.split)
    return Status(201, version_answer(saved))
