"""Puts datasets away: archived they stay for the jobs that used them, deleted they are gone with their files."""

from __future__ import annotations

from functools import partial

from django.db import transaction
from django.db.models import ProtectedError

from webapp import clock
from webapp.accounts.models import AuditEntry, Role, User
from webapp.accounts.permissions import require
from webapp.datasets.models import Dataset, DatasetVersion, VersionState
from webapp.datasets.uploading import UploadRefused
from webapp.storing import forget_all


def archive(user: User, dataset: Dataset) -> None:
    """Out of lists and forms, until somebody brings it back. Raises NotAllowed."""
    require(user, dataset.team_id, Role.MEMBER)
    if Dataset.objects.filter(pk=dataset.pk, archived_at=None).update(archived_at=clock.now()):
        AuditEntry.note(user, dataset.team, "dataset.archive", dataset.pk)


def bring_back(user: User, dataset: Dataset) -> None:
    """Raises NotAllowed."""
    require(user, dataset.team_id, Role.MEMBER)
    if Dataset.objects.filter(pk=dataset.pk).exclude(archived_at=None).update(archived_at=None):
        AuditEntry.note(user, dataset.team, "dataset.bring_back", dataset.pk)


def delete(user: User, dataset: Dataset) -> None:
    """With all versions and files, as long as no job used it. Raises NotAllowed, UploadRefused."""
    require(user, dataset.team_id, Role.MAINTAINER)
    with transaction.atomic():
        Dataset.objects.select_for_update().get(pk=dataset.pk)  # no version comes in between
        versions = list(DatasetVersion.objects.filter(dataset=dataset))
        if any(version.state == VersionState.CHECKING for version in versions):
            raise UploadRefused("dataset.state", "A version is still being checked.", "Wait for the result.", 409)
        AuditEntry.note(user, dataset.team, "dataset.delete", dataset.pk, name=dataset.name)
        try:
            Dataset.objects.filter(pk=dataset.pk).delete()
        except ProtectedError as error:
            message = "Jobs or studies use a version of it, and their results refer to it."
            hint = "Archive it: lists and forms no longer show it."
            raise UploadRefused("dataset.used", message, hint, 409) from error
        named = [(*each.upload_keys, each.file_key, each.problems_key, each.sample_key) for each in versions]
        keys = {key for listed in named for key in listed if key}
        transaction.on_commit(partial(forget_all, keys))
