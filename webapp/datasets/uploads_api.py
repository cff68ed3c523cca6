"""Uploads for programs: announce a file, send it in chunks, go on after a cut."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from django.http import Http404
from ninja import Router, Schema, Status
from pydantic import Field

from webapp.accounts.auth import Caller
from webapp.accounts.permissions import teams_to_work_in
from webapp.datasets.api import dataset_of
from webapp.datasets.choices import ASK
from webapp.datasets.models import Upload
from webapp.datasets.receiving import CHUNK_AT_MOST, KEPT_HOURS, begin, cancel, find
from webapp.paging import Whole

uploads = Router(tags=["datasets"])


class Announcement(Schema):
    """A file that will be sent in chunks."""

    bytes: Annotated[int, Field(ge=1, le=2**53)]
    file_name: Annotated[str, Field(min_length=1, max_length=255)]
    name: Annotated[str, Field(max_length=120)] = ""
    """Of the new dataset; left out: the file's."""
    dataset: Whole | None = None
    """The dataset that gets a further version; left out: a new one is made."""
    team: str = ""
    sha256: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")] = ""
    """Of the whole file; checked before it is taken."""
    task: str = ""
    mapping: dict[str, str] | None = None
    split: dict[str, Any] | None = None
    warnings: Literal["", "accept", "ask"] = ""
    step: Literal["", "columns"] = ""
    """`columns`: the beginning is looked at, and the version waits as a draft; see `dataset-versions/{id}/save`."""


def upload_answer(found: Upload) -> dict[str, Any]:
    return {
        "id": str(found.pk),
        "file_name": found.file_name,
        "bytes": found.bytes,
        "offset": found.offset,
        "chunk_bytes": CHUNK_AT_MOST,
        "expires_at": found.touched_at + timedelta(hours=KEPT_HOURS),
        "version": found.version_id,
    }


@uploads.post("", response={201: dict[str, Any]})
def begin_upload(request: Any, announced: Announcement) -> Any:
    """Announce a file; its chunks follow as `PATCH /uploads/{id}` with `Upload-Offset` and `Upload-Sha256`.

    A chunk has at most 8 MiB. After a cut, `HEAD /uploads/{id}` says in `Upload-Offset` where to go on. The answer to
    the last chunk is 201 with the dataset and its version.
    """
    caller: Caller = request.auth
    dataset = None if announced.dataset is None else dataset_of(request, announced.dataset)
    teams = teams_to_work_in(caller.user)
    named = [each for each in teams if each.slug == announced.team] if announced.team else teams
    team = caller.team or next(iter(named), None)
    said = announced.dict()
    asked = {"task": said["task"], "mapping": said["mapping"], "split": said["split"]}
    asked |= {"warnings": ASK if said["warnings"] == ASK else "", "step": said["step"]}
    return Status(201, upload_answer(begin(caller.user, team, dataset, said, asked)))


@uploads.get("{upload_id}")
def get_upload(request: Any, upload_id: UUID) -> dict[str, Any]:
    """How far one of your uploads is."""
    return upload_answer(_upload(request, upload_id))


@uploads.delete("{upload_id}", response={204: None})
def cancel_upload(request: Any, upload_id: UUID) -> Any:
    """Forget an upload and its bytes. A version that was made of it stays."""
    cancel(_upload(request, upload_id))
    return Status(204, None)


def _upload(request: Any, upload_id: UUID) -> Upload:
    caller: Caller = request.auth
    found = find(caller.user, caller.team.pk if caller.team else None, upload_id)
    if found is None:
        raise Http404
    return found
