"""Equal rows of one team lie in the storage once; a stored file goes with the last version that needs it.

Other teams' rows are never looked at, so that neither time nor text tells that somebody has the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from django.core.files.storage import default_storage

from webapp.accounts.models import Team
from webapp.datasets.models import DatasetVersion
from webapp.storing import Stored, chunks_of, forget_all, open_stored


def twin_of(version: DatasetVersion, sha256: str, size: int, damaged: set[str]) -> Stored | None:
    """The very same rows, stored already for another version of the team; it may be gone the next moment.

    What is no longer what was stored comes into `damaged`: whoever uploads a file again gets sound rows.
    """
    for key in _candidates(version, sha256, size, damaged):
        if _sha256_of(key) == sha256:
            return Stored(key, sha256, size)
        damaged.add(key)
    return None


def locked_twin_of(version: DatasetVersion, sha256: str, size: int, damaged: set[str]) -> Stored | None:
    """The same inside a transaction, until whose end it stays; nothing is read, as others wait meanwhile."""
    Team.objects.select_for_update(no_key=True, of=("self",)).filter(datasets=version.dataset_id).first()
    key = next(_candidates(version, sha256, size, damaged, lock=True), "")
    return Stored(key, sha256, size) if key else None


def _candidates(
    version: DatasetVersion, sha256: str, size: int, damaged: set[str], lock: bool = False
) -> Iterator[str]:
    same = DatasetVersion.objects.filter(dataset__team=version.dataset.team_id, sha256=sha256, bytes=size)
    same = same.exclude(file_key="").exclude(file_key__in=damaged).exclude(pk=version.pk).only("file_key")
    found = [each.file_key for each in (same.select_for_update(of=("self",)) if lock else same)[:10]]
    for key in dict.fromkeys(found):
        if default_storage.exists(key) and default_storage.size(key) == size:
            yield key


def _sha256_of(key: str) -> str:
    digest = hashlib.sha256()
    try:
        with open_stored(key) as file:
            for chunk in chunks_of(file):
                digest.update(chunk)
    except FileNotFoundError:
        return ""
    return digest.hexdigest()


def forget_unneeded(keys: set[str]) -> None:
    """Let stored files go, unless a version needs one; asked once those that did are gone for good."""
    forget_all(DatasetVersion.objects.unneeded(keys))
