"""Takes in a large file chunk by chunk: begun, resumed, finished or cancelled; constant memory whatever its size.

The bytes lie in one file beside the storage. A chunk counts once it is on disk and its sha256 fits; what a crash
left behind the offset is written over. What is in the file is for vetting.py to say.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Sum
from django.utils import timezone

from webapp.accounts.models import Role, Team, User
from webapp.accounts.permissions import require
from webapp.datasets.models import Dataset, DatasetVersion, Upload
from webapp.datasets.uploading import (
    UploadRefused,
    first_version,
    free_name,
    require_not_archived,
    require_size,
    shown_name,
    version_from_stored,
)
from webapp.storing import DiskNearlyFull, Stored, forget, require_space, sha256_of, store_by_move

CHUNK_AT_MOST = 8 * 1024**2
KEPT_HOURS = 24
OPEN_AT_MOST = 20
"""Unfinished uploads of one person."""
NAME = "Send a file name of 1 to 255 characters."


def begin(
    user: User, team: Team | None, dataset: Dataset | None, announced: dict[str, Any], asked: dict[str, Any]
) -> Upload:
    """A place for a file that was announced: `name`, `file_name`, `bytes`, `sha256`. Nothing is written yet.

    Raises UploadRefused, NotAllowed, DiskNearlyFull: before the first byte, so that nobody sends 5 GB in vain.
    """
    size, file_name = announced["bytes"], shown_name(announced["file_name"])
    require_size(size)
    if dataset is not None:
        require(user, dataset.team_id, Role.MEMBER)
        require_not_archived(dataset)
        name = ""
    elif team is not None:
        name = free_name(user, team, announced["name"], announced["file_name"])
    else:
        raise UploadRefused("team", "You are in no team in which you may make things.", "Ask a maintainer.", 403)
    unfinished = Upload.objects.filter(version=None)
    if unfinished.filter(user=user).count() >= OPEN_AT_MOST:
        message = f"You have {OPEN_AT_MOST} unfinished uploads, the limit."
        raise UploadRefused("upload.too_many", message, "Finish or cancel one first.", 409)
    promised = unfinished.aggregate(left=Sum(F("bytes") - F("offset")))["left"] or 0
    require_space(2 * size + promised)
    return Upload.objects.create(
        user=user, team=team, dataset=dataset, name=name, file_name=file_name, bytes=size,
        sha256=announced["sha256"], asked=asked, touched_at=timezone.now(),
    )  # fmt: skip


def find(user: User, team_id: int | None, upload_id: UUID) -> Upload | None:
    """The person's own upload, within the team of the token if there is one."""
    found = Upload.objects.filter(pk=upload_id, user=user).select_related("team", "dataset__team", "version").first()
    if found is None or team_id is None:
        return found
    return found if team_id == (found.dataset.team_id if found.dataset else found.team_id) else None


def part_of(upload: Upload) -> Path:
    return Path(settings.VAR) / "incoming" / f"{upload.pk.hex}.part"


def check_chunk(upload: Upload, offset: int, length: int) -> None:
    """Raise UploadRefused where a chunk cannot be the next one; asked before its body is read."""
    if upload.version_id is not None:
        raise UploadRefused("upload.done", "This upload is already complete.", "", 409)
    if offset != upload.offset:
        message = f"The chunk starts at byte {offset:,}; the next one starts at {upload.offset:,}."
        raise UploadRefused("upload.offset", message, "Ask for the offset with HEAD and go on from there.", 409)
    if not 0 < length <= CHUNK_AT_MOST:
        message = f"The chunk has {length:,} bytes; a chunk has 1 to {CHUNK_AT_MOST:,}."
        raise UploadRefused("upload.chunk_size", message, "Send smaller chunks.", 413)
    if offset + length > upload.bytes:
        message = f"The chunk ends at byte {offset + length:,}, beyond the {upload.bytes:,} that were announced."
        raise UploadRefused("upload.length", message, "Begin a new upload with the right size.", 422)


def add_chunk(upload: Upload, offset: int, chunk: bytes, sha256: str) -> DatasetVersion | None:
    """Keep one chunk; after the last one, the version that came of it. Raises UploadRefused, DiskNearlyFull."""
    if hashlib.sha256(chunk).hexdigest() != sha256:
        message = f"The chunk at byte {offset:,} does not have the sha256 that was sent with it."
        raise UploadRefused("upload.chunk_damaged", message, "Send the chunk again.", 422)
    with _held(upload) as file:
        upload.refresh_from_db()
        check_chunk(upload, offset, len(chunk))
        _write(upload, file, offset, chunk)
        upload.offset, upload.touched_at = offset + len(chunk), timezone.now()
        upload.save(update_fields=["offset", "touched_at"])
        return _finish(upload) if upload.offset == upload.bytes else None


@contextlib.contextmanager
def _held(upload: Upload) -> Iterator[int]:
    """The part, open and ours alone: two requests for one upload never write together."""
    path = part_of(upload)
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield file
    except BlockingIOError as error:
        message = "Another request is sending a chunk of this upload."
        raise UploadRefused("upload.busy", message, "Wait for it, then ask for the offset with HEAD.", 409) from error
    finally:
        os.close(file)


def _write(upload: Upload, file: int, offset: int, chunk: bytes) -> None:
    try:
        require_space(len(chunk))
        left = memoryview(chunk)
        while left:
            written = os.pwrite(file, left, offset)
            left, offset = left[written:], offset + written
        os.fsync(file)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        cancel(upload)
        raise DiskNearlyFull(len(chunk), 0) from error
    except DiskNearlyFull:
        cancel(upload)
        raise


def _finish(upload: Upload) -> DatasetVersion:
    """All bytes are here: verified, moved into the storage, and made a version of."""
    path = part_of(upload)
    digest = sha256_of(path) if upload.sha256 else ""
    if path.stat().st_size != upload.bytes or digest != upload.sha256:
        cancel(upload)
        message = "The whole file does not have the sha256 that was announced; nothing was kept."
        raise UploadRefused("upload.damaged", message, "Upload it again.", 422)
    team_id = upload.dataset.team_id if upload.dataset else upload.team_id
    stored = Stored(store_by_move(f"{team_id or 'site'}/uploads", path), digest, upload.bytes)
    try:
        with transaction.atomic():
            version = _version(upload, stored)
            Upload.objects.filter(pk=upload.pk).update(version=version)
    except BaseException:
        forget(stored.key)
        Upload.objects.filter(pk=upload.pk).delete()
        raise
    return version


def _version(upload: Upload, stored: Stored) -> DatasetVersion:
    if upload.dataset is not None:
        require(upload.user, upload.dataset.team_id, Role.MEMBER)
        return version_from_stored(
            upload.user, upload.dataset, stored.key, stored.bytes, upload.file_name, upload.asked
        )
    assert upload.team is not None
    name = free_name(upload.user, upload.team, upload.name, upload.file_name)
    return first_version(upload.user, upload.team, name, stored, upload.file_name, upload.asked)


def cancel(upload: Upload) -> None:
    """Forget it and its bytes; what it became stays."""
    part_of(upload).unlink(missing_ok=True)
    Upload.objects.filter(pk=upload.pk).delete()


def expire_uploads() -> None:
    """What nobody has gone on with for a day, and parts that belong to nothing."""
    before = timezone.now() - timedelta(hours=KEPT_HOURS)
    for upload in Upload.objects.filter(touched_at__lt=before)[:100]:
        cancel(upload)
    folder = Path(settings.VAR) / "incoming"
    for path in folder.glob("*.part") if folder.is_dir() else ():
        with contextlib.suppress(FileNotFoundError, ValueError):
            old = path.stat().st_mtime < before.timestamp()
            if old and not Upload.objects.filter(pk=UUID(path.stem)).exists():
                path.unlink()
