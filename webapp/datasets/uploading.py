"""Takes in a dataset file, keeps it, and has it checked; what is in the file is for vetting.py to say."""

from __future__ import annotations

from itertools import chain, count
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.db import IntegrityError, transaction
from django.db.models import Max

from webapp.accounts.models import AuditEntry, Role, Team, User
from webapp.accounts.permissions import require
from webapp.datasets import tasks
from webapp.datasets.models import Dataset, DatasetVersion
from webapp.datasets.problems import NAME_CHARACTERS, prints
from webapp.storing import Stored, forget, require_space, store

RENAMED = (
    f"Of the file's name the first {NAME_CHARACTERS} characters are kept, and what does not print in it was replaced."
)


class UploadRefused(Exception):
    """The file cannot be taken at all; nothing was stored."""

    def __init__(self, code: str, message: str, hint: str = "", status: int = 422) -> None:
        super().__init__(message)
        self.code, self.message, self.hint, self.status = code, message, hint, status


def upload(
    user: User,
    team: Team,
    name: str,
    file: UploadedFile[bytes],
    asked: dict[str, Any],
    idempotency_key: str | None = None,
) -> DatasetVersion:
    """A new dataset with its first version, in `checking`; the same one if the team sent this key before.

    Raises UploadRefused, NotAllowed, DiskNearlyFull.
    """
    require(user, team.pk, Role.MEMBER)
    if repeated := _asked_before(user, team, idempotency_key):
        return repeated
    name = free_name(user, team, name, file.name or "")
    stored = keep(file, f"{team.pk}/uploads")
    return first_version(user, team, name, stored, file.name or "", asked, idempotency_key)


def free_name(user: User, team: Team, name: str, file_name: str) -> str:
    """The name of the dataset to be made. Raises UploadRefused where it is taken, NotAllowed."""
    require(user, team.pk, Role.MEMBER)
    name = name.strip()[:120]
    if not name:
        return _numbered(team, Path(file_name or "dataset").stem[:100])
    if Dataset.objects.filter(team=team, name=name).exists():
        raise _name_taken(name)
    return name


def _numbered(team: Team, stem: str) -> str:
    """The file's own name; with a number where a dataset has it already."""
    taken = set(Dataset.objects.filter(team=team, name__startswith=stem).values_list("name", flat=True))
    names = chain([stem], (f"{stem} {number}" for number in count(2)))
    return next(name for name in names if name not in taken)


def first_version(
    user: User,
    team: Team,
    name: str,
    stored: Stored,
    file_name: str,
    asked: dict[str, Any],
    idempotency_key: str | None = None,
) -> DatasetVersion:
    """A new dataset from a stored file, which is forgotten where that fails."""
    try:
        with transaction.atomic():
            own = {"created_by": user, "idempotency_key": idempotency_key}
            dataset = Dataset.objects.create(team=team, name=name, **own)
            return version_from_stored(user, dataset, stored.key, stored.bytes, file_name, asked)
    except IntegrityError as error:
        forget(stored.key)
        if repeated := _asked_before(user, team, idempotency_key):
            return repeated  # the same request, sent twice at once: the other one won
        if not Dataset.objects.filter(team=team, name=name).exists():
            raise
        raise _name_taken(name) from error


def _asked_before(user: User, team: Team, key: str | None) -> DatasetVersion | None:
    if not key:
        return None
    versions = DatasetVersion.objects.filter(dataset__team=team, dataset__idempotency_key=key)
    version = versions.select_related("dataset").order_by("number").first()
    if len(key) > 100 or (version is not None and version.dataset.created_by_id != user.pk):
        message = "The Idempotency-Key is longer than 100 characters, or another person of the team used it."
        raise UploadRefused("dataset.key", message, "Use a new key for every dataset, such as a random UUID.")
    return version


def _name_taken(name: str) -> UploadRefused:
    message = f"The team already has a dataset named {name}."
    return UploadRefused("dataset.name_taken", message, "Choose another name, or add a version to that dataset.")


def new_version(user: User, dataset: Dataset, file: UploadedFile[bytes], asked: dict[str, Any]) -> DatasetVersion:
    """A further version of a dataset, in `checking`. Raises UploadRefused, NotAllowed, DiskNearlyFull."""
    require(user, dataset.team_id, Role.MEMBER)
    require_not_archived(dataset)
    stored = keep(file, f"{dataset.team_id or 'site'}/uploads")
    try:
        return version_from_stored(user, dataset, stored.key, stored.bytes, file.name or "", asked)
    except BaseException:
        forget(stored.key)
        raise


def require_not_archived(dataset: Dataset) -> None:
    """Raises UploadRefused."""
    if dataset.archived_at is not None:
        hint = "Bring it back first, on its page."
        raise UploadRefused("dataset.archived", f"{dataset.name} is archived.", hint, 409)


def keep(file: UploadedFile[bytes], prefix: str) -> Stored:
    """The file in the storage. Raises UploadRefused, DiskNearlyFull."""
    size = file.size or 0
    require_size(size)
    require_space(2 * size)
    return store(prefix, file.chunks())


def require_size(size: int) -> None:
    """Raise UploadRefused where a file is larger than the site takes."""
    if size > settings.MAX_UPLOAD_BYTES:
        limit = settings.MAX_UPLOAD_BYTES / 1024**3
        message = f"The file has {size / 1024**3:,.1f} GiB; the limit is {limit:.1f} GiB."
        raise UploadRefused("dataset.file_too_large", message, "Split the file.", 413)


def version_from_stored(
    user: User | None, dataset: Dataset, key: str, size: int, upload_name: str, asked: dict[str, Any]
) -> DatasetVersion:
    """The next version of a dataset from a stored file; its check starts once this is committed."""
    step = asked.get("step", "")
    asked = {name: value for name, value in asked.items() if value and name != "step"} | renaming(upload_name)
    with transaction.atomic():
        Dataset.objects.select_for_update().get(pk=dataset.pk)
        if not step and (licence := asked.pop("licence", "")):  # of a draft, it waits for the saving
            dataset.licence = licence
            dataset.save(update_fields=["licence"])
        last = dataset.versions.aggregate(last=Max("number"))["last"] or 0
        version = DatasetVersion.objects.create(
            dataset=dataset,
            number=last + 1,
            created_by=user,
            upload_name=shown_name(upload_name),
            upload_key=key,
            upload_bytes=size,
            asked=asked,
            step=step,
        )
        AuditEntry.note(user, dataset.team, "dataset.upload", version.pk, name=dataset.name)
        transaction.on_commit(lambda: tasks.wake(version.pk))
    return version


def shown_name(name: str) -> str:
    """The name as it can be shown and stored: never a path that anything opens."""
    return "".join(each if prints(each) else "\N{REPLACEMENT CHARACTER}" for each in name)[:NAME_CHARACTERS]


def renaming(name: str) -> dict[str, str]:
    """Of a name that cannot be kept as it is, what the check remarks on."""
    return {"renamed": RENAMED} if shown_name(name) != name else {}
