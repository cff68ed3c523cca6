"""Hands out delta artifacts: every file is checked against its hash first, and the download is audited."""

from __future__ import annotations

import mimetypes
import re
from typing import IO, Any

from django.http import StreamingHttpResponse

from webapp import clock
from webapp.accounts.models import AuditEntry, User
from webapp.jobs.handing_in import CARD_BYTES, verified
from webapp.jobs.models import Artifact
from webapp.storing import require_space, streamed, zipped


class Damaged(Exception):
    """A stored file is not what was taken in (P10): it is never handed out silently."""

    def __init__(self, name: str) -> None:
        super().__init__(f"`{name}` is damaged in storage, so it is not handed out. Retry the job to make it again.")


def as_zip(artifact: Artifact, user: User) -> StreamingHttpResponse:
    """All files in one zip. Raises Damaged, DiskNearlyFull."""
    require_space(artifact.bytes)
    archive, length = zipped((file["name"], _opened(artifact, file)) for file in artifact.files)
    AuditEntry.note(user, artifact.job.team, "artifact.download", artifact.pk)
    return streamed(archive, length, "application/zip", f"{file_name(artifact)}.zip")


def _opened(artifact: Artifact, file: dict[str, Any]) -> IO[bytes]:
    """The file, if the artifact is whole as far as we know and this file has its hash; else the artifact is marked."""
    opened = None if artifact.damaged_at else verified(file)
    if opened is None:
        Artifact.objects.filter(pk=artifact.pk, damaged_at=None).update(damaged_at=clock.now())
        raise Damaged(file["name"])
    return opened


def one_file(artifact: Artifact, name: str, user: User) -> StreamingHttpResponse | None:
    """One file by its name in the manifest, or None. Raises Damaged."""
    file = next((file for file in artifact.files if file["name"] == name), None)
    if file is None:
        return None
    AuditEntry.note(user, artifact.job.team, "artifact.download", artifact.pk, file=name)
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return streamed(_opened(artifact, file), file["bytes"], kind, name.rsplit("/", 1)[-1])


def read_text(artifact: Artifact, name: str) -> str:
    """A small text file of the artifact, such as its card; empty if there is none, or one too large for a page."""
    file = next((file for file in artifact.files if file["name"] == name), None)
    if file is None or file["bytes"] > CARD_BYTES:
        return ""
    with _opened(artifact, file) as opened:
        return opened.read().decode("utf-8", "replace")


def file_name(artifact: Artifact) -> str:
    """A plain name for the zip, from the job's."""
    plain = re.sub(r"[^A-Za-z0-9]+", "-", artifact.job.name).strip("-").lower()
    merged = "" if artifact.kind == Artifact.Kind.DELTA else "-merged"
    return f"{plain[:60] or 'delta'}-{artifact.job_id}{merged}"
