"""Removes stored files that nothing lists: parts of ended attempts, and what a crash left between file and row.

Careful on purpose: only folders that it knows, only what is old, and each file is looked up again before it goes.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.core.files.storage import default_storage
from django.utils import timezone

from webapp import clock
from webapp.basemodels.models import BaseModel
from webapp.datasets.announcing import expire_uploads
from webapp.datasets.models import DatasetVersion, Upload
from webapp.datasets.vetting import clear_scratch, forget_old_uploads
from webapp.jobs.models import Artifact, Attempt, Checkpoint, Inspection, StoredPart
from webapp.storing import StorageAway, forget

log = logging.getLogger(__name__)
PART_SECONDS = 3600
DAY_SECONDS = 24 * 3600
SHARE_SECONDS = 0.2
FOLDERS = ("attempts", "inspections", "problems", "remarks", "uploads", "versions")
"""Kinds of files whose every owner is known here; others are left alone."""
OURS = re.compile(rf"(\d+|site)/({'|'.join(FOLDERS)})/.+")
"""Keys of such files: a bucket may hold others' as well."""


@dataclass
class Clearing:
    """Parts each sweep; forgotten files once a day, a share each sweep."""

    share_seconds: float = SHARE_SECONDS
    walk: Iterator[None] = field(default_factory=lambda: iter(()))
    rest_until: float = 0.0

    def share(self) -> None:
        """Clear for a moment."""
        drop_parts()
        forget_old_uploads()
        clear_scratch()
        expire_uploads()
        until = time.monotonic() + self.share_seconds
        while time.monotonic() < until and time.monotonic() >= self.rest_until:
            try:
                next(self.walk)
            except StopIteration:
                self.walk, self.rest_until = forget_files(), time.monotonic() + DAY_SECONDS


def drop_parts(limit: int = 100) -> None:
    """Parts that an attempt or inspection left unlisted when it ended."""
    old = StoredPart.objects.filter(created_at__lt=clock.in_seconds(-PART_SECONDS))
    over = old.filter(attempt__state=Attempt.State.ENDED) | old.filter(
        inspection__state__in=[Inspection.State.ANSWERED, Inspection.State.FAILED]
    )
    for part in over.order_by("pk")[:limit]:
        if not is_listed(part.key, besides_parts=True):
            forget(part.key)
        part.delete()


def forget_files() -> Iterator[None]:
    """Walk through the known folders of every team; yields after each file."""
    yield from _drop_what_came_in()
    teams, _ = default_storage.listdir("")
    for team in teams:
        for kind in _folders(team):
            yield from _walk(f"{team}/{kind}")


def _drop_what_came_in() -> Iterator[None]:
    """Parts in a bucket that are no file yet: a dataset, team or person that went took the row of the upload along."""
    storage: Any = default_storage
    left: list[StorageAway] = []
    try:
        coming = list(storage.coming()) if hasattr(storage, "coming") else []
    except StorageAway as error:
        coming, left = [], [error]
    for key, since in coming:
        old = timezone.now() - since > timedelta(seconds=DAY_SECONDS)
        if old and OURS.fullmatch(key) and not Upload.objects.filter(key=key).exists():
            log.warning("removing parts of %s: no upload needs them, and they are a day old", key)
            try:
                storage.drop_parts(key)
            except StorageAway as error:
                left.append(error)
        yield
    if left:
        log.warning("parts of files stay in the bucket until the next look: %s", left[0])


def _folders(team: str) -> list[str]:
    kinds, _ = default_storage.listdir(team)
    return [kind for kind in kinds if kind in FOLDERS]


def _walk(folder: str) -> Iterator[None]:
    inner, files = default_storage.listdir(folder)
    for each in inner:
        yield from _walk(f"{folder}/{each}")
    for name in files:
        _forget_if_nobodys(f"{folder}/{name}")
        yield


def _forget_if_nobodys(key: str) -> None:
    try:
        age = timezone.now() - default_storage.get_modified_time(key)
    except FileNotFoundError:
        return
    if age > timedelta(seconds=DAY_SECONDS) and not is_listed(key):
        log.warning("removing %s: nothing lists it, and it is a day old", key)
        forget(key)


def is_listed(key: str, besides_parts: bool = False) -> bool:
    """Whether any row still needs this stored file."""
    rows = [
        DatasetVersion.objects.filter(upload_key=key),
        DatasetVersion.objects.filter(second_key=key),
        DatasetVersion.objects.filter(file_key=key),
        DatasetVersion.objects.filter(problems_key=key),
        DatasetVersion.objects.filter(remarks_key=key),
        DatasetVersion.objects.filter(sample__key=key),
        *(model.objects.filter(files__icontains=key) for model in (Artifact, Checkpoint, BaseModel, Inspection)),
    ]
    if not besides_parts:
        rows.append(StoredPart.objects.filter(key=key))
    return any(found.exists() for found in rows)
