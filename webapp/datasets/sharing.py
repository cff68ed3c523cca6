"""Equal rows of one team lie in the storage once; a stored file goes with the last version that needs it.

Other teams' rows are never looked at, so that neither time nor text tells that somebody has the same.
"""

from __future__ import annotations

from django.core.files.storage import default_storage

from webapp.accounts.models import Team
from webapp.datasets.models import DatasetVersion
from webapp.storing import Stored, forget_all


def twin_of(version: DatasetVersion, sha256: str, size: int, lock: bool = False) -> Stored | None:
    """The very same rows, stored already for another version of the team; locked, it stays until the transaction ends.

    Without a lock it may be gone the next moment.
    """
    same = DatasetVersion.objects.filter(dataset__team=version.dataset.team_id, sha256=sha256, bytes=size)
    same = same.exclude(file_key="").exclude(pk=version.pk).only("file_key")
    if lock:
        Team.objects.select_for_update(no_key=True, of=("self",)).filter(datasets=version.dataset_id).first()
        same = same.select_for_update(of=("self",))
    keys = (each.file_key for each in same[:10])
    key = next((key for key in keys if default_storage.exists(key) and default_storage.size(key) == size), "")
    return Stored(key, sha256, size) if key else None


def forget_unneeded(keys: set[str]) -> None:
    """Let stored files go, unless a version needs one; asked once those that did are gone for good."""
    forget_all(DatasetVersion.objects.unneeded(keys))
