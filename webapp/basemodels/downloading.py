"""Hands out a base model's folder as a zip, so that a delta can be loaded where there is no hub."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from django.http import StreamingHttpResponse

from webapp.accounts.models import AuditEntry, User
from webapp.basemodels.models import BaseModel
from webapp.storing import open_stored, require_space, streamed, zipped


def as_zip(model: BaseModel, user: User) -> StreamingHttpResponse:
    """All its files, ready for `from_pretrained`. Raises DiskNearlyFull."""
    require_space(model.bytes)
    archive, length = zipped(_files(model))
    AuditEntry.note(user, model.team, "basemodel.download", model.pk)
    plain = re.sub(r"[^A-Za-z0-9.]+", "-", model.name).strip("-").lower()
    return streamed(archive, length, "application/zip", f"{plain or 'base-model'}.zip")


def _files(model: BaseModel) -> Iterator[tuple[str, IO[bytes]]]:
    for file in model.files:
        path = Path(model.folder) / file["name"]
        yield file["name"], path.open("rb") if model.folder else open_stored(file["key"])
