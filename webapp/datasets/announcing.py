"""Uploads from their announcement to what becomes of them; how the bytes come is for receiving.py and direct.py.

Where senders reach the storage themselves (an S3 bucket with a public address), they put the parts there; else the
bytes lie in one file beside the storage until they are whole.
"""

from __future__ import annotations

import contextlib
import logging
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist
from django.db import IntegrityError, transaction
from django.db.models import F, Sum
from django.urls import reverse
from django.utils import timezone

from webapp.accounts.models import Role, Team, User
from webapp.accounts.permissions import NotAllowed, require
from webapp.datasets.models import Dataset, DatasetVersion, Upload
from webapp.datasets.uploading import (
    UploadRefused,
    first_version,
    free_name,
    renaming,
    require_not_archived,
    require_size,
    shown_name,
    version_from_stored,
)
from webapp.storing import StorageAway, Stored, forget, require_space, taking_parts

log = logging.getLogger(__name__)
KEPT_HOURS = 24
OPEN_AT_MOST = 20
"""Unfinished uploads of one person."""


def begin(
    user: User,
    team: Team | None,
    dataset: Dataset | None,
    announced: dict[str, Any],
    asked: dict[str, Any],
    idempotency_key: str | None = None,
) -> Upload:
    """A place for a file that was announced: `name`, `file_name`, `bytes`, `sha256`. Nothing is written yet.

    The same one where the person sent this key before. Raises UploadRefused, NotAllowed, DiskNearlyFull: before the
    first byte, so that nobody sends 5 GB in vain; StorageAway.
    """
    size, file_name = announced["bytes"], shown_name(announced["file_name"])
    asked |= renaming(announced["file_name"])
    if repeated := _begun_before(user, size, file_name, idempotency_key):
        return repeated
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
    upload = Upload(
        user=user, team=team, dataset=dataset, name=name, file_name=file_name, bytes=size,
        sha256=announced["sha256"], asked=asked, touched_at=timezone.now(), idempotency_key=idempotency_key or None,
    )  # fmt: skip
    return _opened(upload)


def _begun_before(user: User, size: int, file_name: str, key: str | None) -> Upload | None:
    if not key:
        return None
    found = Upload.objects.filter(user=user, idempotency_key=key).select_related("version").first()
    if len(key) > 100 or (found is not None and (found.bytes, found.file_name) != (size, file_name)):
        message = "The Idempotency-Key is longer than 100 characters, or was sent with another file."
        raise UploadRefused("upload.key", message, "Use a new key for every upload, such as a random UUID.")
    return found


def _opened(upload: Upload) -> Upload:
    """Stored, and begun in the bucket where its parts go there; whoever sends the same key at once gets the first."""
    storage = taking_parts()
    if storage is not None:
        upload.key = f"{prefix_of(upload)}/{uuid.uuid4().hex}"
    try:
        with transaction.atomic():
            upload.save(force_insert=True)
    except IntegrityError:
        repeated = _begun_before(upload.user, upload.bytes, upload.file_name, upload.idempotency_key)
        if repeated is None:
            raise
        return repeated
    if storage is not None:
        try:
            upload.parts_id = storage.begin_parts(upload.key)
        except BaseException:
            upload.delete()
            raise
        upload.save(update_fields=["parts_id"])
    return upload


def find(user: User, team_id: int | None, upload_id: UUID) -> Upload | None:
    """The person's own upload, within the team of the token if there is one."""
    found = Upload.objects.filter(pk=upload_id, user=user).select_related("team", "dataset__team", "version").first()
    if found is None or team_id is None:
        return found
    return found if team_id == _team_id(found) else None


def _team_id(upload: Upload) -> int | None:
    return upload.dataset.team_id if upload.dataset else upload.team_id


def part_of(upload: Upload) -> Path:
    return Path(settings.VAR) / "incoming" / f"{upload.pk.hex}.part"


def prefix_of(upload: Upload) -> str:
    return f"{_team_id(upload) or 'site'}/uploads"


def become(upload: Upload, stored: Stored, proof: str = "") -> DatasetVersion:
    """The version that comes of a whole file in the storage; the same one when asked twice.

    Refused, upload and file are forgotten. After any other fault both stay: the same may work later, and a commit
    whose answer was lost has made a version that needs the file.

    `proof`: what the check has yet to find in the file; see proving.py.
    """
    try:
        with transaction.atomic():
            held = Upload.objects.select_for_update().get(pk=upload.pk)
            if held.version is not None:
                return held.version
            version = _version(upload, stored)
            DatasetVersion.objects.filter(pk=version.pk).update(upload_proof=proof)
            done = {"version": version, "offset": upload.bytes, "touched_at": timezone.now()}
            Upload.objects.filter(pk=upload.pk).update(**done)
    except (UploadRefused, NotAllowed, ObjectDoesNotExist):
        Upload.objects.filter(pk=upload.pk, version=None).delete()
        part_of(upload).unlink(missing_ok=True)
        if not DatasetVersion.objects.filter(upload_key=stored.key).exists():
            with contextlib.suppress(StorageAway):  # what stays then is listed nowhere, and swept
                forget(stored.key)
        raise
    return version


def done(version: DatasetVersion) -> dict[str, Any]:
    """What a complete upload became."""
    made = {"id": version.pk, "number": version.number, "state": version.state}
    address = reverse("datasets:version", args=[version.dataset_id, version.number])
    return {"id": version.dataset_id, "version": made, "page": address}


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
    """Forget it and its bytes, wherever they are; what it became stays, also where that came just before."""
    try:
        _end(upload)
    except StorageAway as error:
        log.warning("cancelled upload %s left its bytes to the clearing: %s", upload.pk, error)


def _end(upload: Upload) -> None:
    """The row first: with it nothing can become of the bytes any more. Raises StorageAway, with the row gone."""
    with transaction.atomic():
        held = Upload.objects.select_for_update().filter(pk=upload.pk).first()
        Upload.objects.filter(pk=upload.pk).delete()
    part_of(upload).unlink(missing_ok=True)
    storage = taking_parts() if held is not None and held.key and held.version_id is None else None
    if storage is not None:
        storage.drop_parts(upload.key)
        forget(upload.key)


def expire_uploads() -> None:
    """What nobody has gone on with for a day, and parts that belong to nothing.

    One that the bucket will not let go keeps no other waiting: its row is gone, and clearing.py finds its bytes.
    """
    before = timezone.now() - timedelta(hours=KEPT_HOURS)
    left: list[StorageAway] = []
    for upload in Upload.objects.filter(touched_at__lt=before)[:100]:
        try:
            _end(upload)
        except StorageAway as error:
            left.append(error)
    if left:
        log.warning("%d expired uploads left their bytes to the clearing: %s", len(left), left[0])
    folder = Path(settings.VAR) / "incoming"
    for path in folder.iterdir() if folder.is_dir() else ():
        with contextlib.suppress(FileNotFoundError, ValueError):
            old = path.stat().st_mtime < before.timestamp()
            if old and not Upload.objects.filter(pk=UUID(path.stem)).exists():
                path.unlink()
