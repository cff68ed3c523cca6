"""Uploads for programs: announce a file, send it in chunks, go on after a cut."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

from django.http import Http404
from ninja import Header, Router, Schema, Status
from pydantic import Field

from webapp.accounts.auth import Caller
from webapp.accounts.permissions import teams_to_work_in
from webapp.datasets import direct
from webapp.datasets.announcing import KEPT_HOURS, begin, cancel, done, find
from webapp.datasets.api import dataset_to_change
from webapp.datasets.asking import Asked, asked_of
from webapp.datasets.models import Upload
from webapp.datasets.proving import CHUNK_AT_MOST
from webapp.paging import Whole

uploads = Router(tags=["datasets"])
NAME_AT_MOST = 4096
"""Characters of a file's name; what is kept of it is for uploading.py to say."""


class Announcement(Asked):
    """A file that will be sent in chunks."""

    bytes: Annotated[int, Field(ge=1, le=2**53)]
    file_name: Annotated[str, Field(min_length=1, max_length=NAME_AT_MOST)]
    name: Annotated[str, Field(max_length=120)] = ""
    """Of the new dataset; left out: the file's."""
    dataset: Whole | None = None
    """The dataset that gets a further version; left out: a new one is made."""
    team: str = ""
    sha256: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")] = ""
    """Of the whole file; checked before it is taken."""
    mapping: dict[str, str] | None = None
    split: dict[str, Any] | None = None


class PartAnnouncement(Schema):
    """One part that will be put into the bucket."""

    offset: Annotated[int, Field(ge=0, le=2**53)]
    bytes: Annotated[int, Field(ge=1, le=CHUNK_AT_MOST)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


def upload_answer(found: Upload) -> dict[str, Any]:
    return {
        "id": str(found.pk),
        "file_name": found.file_name,
        "bytes": found.bytes,
        "offset": found.offset,
        "chunk_bytes": CHUNK_AT_MOST,
        "to": "bucket" if found.parts_id else "site",
        "expires_at": found.touched_at + timedelta(hours=KEPT_HOURS),
        "version": found.version_id,
        "made": done(found.version) if found.version else None,
    }


@uploads.post("", response={201: dict[str, Any]})
def begin_upload(request: Any, announced: Announcement, idempotency_key: Header[str | None] = None) -> Any:
    """Announce a file; sent again with the same Idempotency-Key, it is the same upload.

    If `to` is `site`, chunks of at most 8 MiB follow as `PATCH /uploads/{id}` with `Upload-Offset` and `Upload-Sha256`;
    the answer to the last one is 201 with the dataset and its version. If it is `bucket`, ask for the address of each
    part of `chunk_bytes` with `POST /uploads/{id}/parts` and put the part there; `POST /uploads/{id}/complete` is
    answered so in the end. After a cut, `offset` of `GET /uploads/{id}` says where to go on.
    """
    caller: Caller = request.auth
    dataset = None if announced.dataset is None else dataset_to_change(request, announced.dataset)
    teams = teams_to_work_in(caller.user)
    named = [each for each in teams if each.slug == announced.team] if announced.team else teams
    team = caller.team or next(iter(named), None)
    asked = asked_of(announced, announced.mapping, announced.split)
    return Status(201, upload_answer(begin(caller.user, team, dataset, announced.dict(), asked, idempotency_key)))


@uploads.get("{upload_id}")
def get_upload(request: Any, upload_id: UUID) -> dict[str, Any]:
    """How far one of your uploads is, and what it became."""
    found = _upload(request, upload_id)
    direct.arrived(found)
    return upload_answer(found)


@uploads.post("{upload_id}/parts")
def address_part(request: Any, upload_id: UUID, part: PartAnnouncement) -> dict[str, Any]:
    """Where to PUT one part, with `headers` as they are; the bucket takes these very bytes, for five minutes."""
    found = direct.address(_upload(request, upload_id), part.offset, part.bytes, part.sha256)
    return {"method": "PUT", "url": found.url, "headers": found.headers, "seconds": found.seconds}


@uploads.post("{upload_id}/complete", response={201: dict[str, Any]})
def complete_upload(request: Any, upload_id: UUID) -> Any:
    """All parts are in the bucket: the dataset and its version, the same when asked twice."""
    return Status(201, done(direct.complete(_upload(request, upload_id))))


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
