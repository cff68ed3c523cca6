"""A version on its way from file to columns, check and save: read again in place until it is saved, immutable after.

Where it stands is stored, so that a person may close the page and come back. What one may choose is for deciding.py.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.db import IntegrityError, transaction
from django.db.models import Max

from webapp.accounts.models import AuditEntry, Role, User
from webapp.accounts.permissions import require
from webapp.datasets import tasks
from webapp.datasets.choices import ASK, CHECK, COLUMNS, SAVE
from webapp.datasets.deciding import asked_with, how_to_read, require_readable, require_split
from webapp.datasets.models import Dataset, DatasetVersion, VersionState
from webapp.datasets.problems import ACCEPT, OFFERED, SKIP
from webapp.datasets.sharing import forget_unneeded
from webapp.datasets.token_problems import SEEN_BY_CHECK, acceptable
from webapp.datasets.uploading import UploadRefused, keep, renaming, require_not_archived, shown_name
from webapp.storing import forget

DECIDED_ANEW = ("encoding", "delimiter", "header", "entry", "task", "mapping", "fixes", "split", "long_rows")
"""By the step of columns; the split comes last."""
SHOW_NOTHING_NEW = (SKIP, ACCEPT, "keep_one", *OFFERED["too_long"])
"""Fixes after which the rows need not be looked at again."""


def look_again(user: User, version: DatasetVersion, wishes: dict[str, Any]) -> DatasetVersion:
    """Look at the beginning once more, read as these wishes say. Raises UploadRefused, NotAllowed."""
    return _read(user, version, COLUMNS, _columns_of(version, wishes))


def check_all(user: User, version: DatasetVersion, wishes: dict[str, Any]) -> DatasetVersion:
    """Read every row with these columns; nothing is saved yet. Raises UploadRefused, NotAllowed."""
    return _read(user, version, CHECK, _columns_of(version, wishes))


def _columns_of(version: DatasetVersion, wishes: dict[str, Any]) -> dict[str, Any]:
    """What is asked of the check; the columns step decides anew how the file is read."""
    asked = asked_with(version, wishes)
    chosen = {(each.get("code") or "").removeprefix("dataset.") for each in wishes.get("fixes") or [] if each["fix"]}
    by_fix = {"encoding": "not_utf8", "entry": "several_files"}
    kept = {name: asked[name] for name in asked if name not in DECIDED_ANEW or wishes.get(name)}
    kept |= {name: asked[name] for name, code in by_fix.items() if code in chosen}
    return kept | {"fixes": {code: fix for code, fix in asked["fixes"].items() if code in chosen}, "warnings": ASK}


def settle(user: User, version: DatasetVersion, wishes: dict[str, Any]) -> DatasetVersion:
    """Take the decisions about what the check found; on to saving, unless a fix makes the rows read otherwise.

    Raises NotAllowed, and UploadRefused where something waits undecided: all else that was decided or taken back is
    kept, so that no fix stays that was taken back.
    """
    require(user, version.dataset.team_id, Role.MEMBER)
    asked = {**asked_with(version, wishes), "warnings": ASK}
    before = version.asked.get("fixes") or {}
    fixes = [(each["code"].removeprefix("dataset."), each["fix"]) for each in wishes.get("fixes") or [] if each["fix"]]
    fixes += [(code, fix) for code, fix in before.items() if code not in asked["fixes"]]
    if any(fix not in SHOW_NOTHING_NEW or (fix == SKIP and code in SEEN_BY_CHECK) for code, fix in fixes):
        return _read(user, version, CHECK, asked)
    with transaction.atomic():
        now = _draft_of(user, version)
        undecided = _undecided(now, asked)
        now.asked, now.step = asked, CHECK if undecided else SAVE
        now.save(update_fields=["asked", "step"])
    if undecided:
        raise undecided
    return now


def _undecided(version: DatasetVersion, asked: dict[str, Any]) -> UploadRefused | None:
    """What keeps the rows from being saved."""
    for problem in version.all_problems:
        if problem["severity"] == "notice" or problem["code"].removeprefix("dataset.") in asked["fixes"]:
            continue
        open_ = problem["fixes"] or acceptable(problem)
        hint = "Choose what shall be done, or mend the file." if open_ else problem["hint"]
        return UploadRefused("dataset.undecided", f"Still to be decided: {problem['message']}", hint)
    if version.state == VersionState.REFUSED or not version.rows.get("good"):
        return UploadRefused("dataset.no_rows", "No row is left to be saved.", "Choose other columns or another file.")
    return None


def save(
    user: User, version: DatasetVersion, name: str, licence: str | None, split: dict[str, Any] | None
) -> DatasetVersion:
    """Read once more, and write the rows: as a new dataset, or as the next version of the one that has this name.

    Raises UploadRefused, NotAllowed.
    """
    require_split(split)
    with transaction.atomic():
        now = _draft_of(user, version)
        if now.step != SAVE:
            message = "The rows of this file have not been checked yet, or something waits for a decision."
            raise UploadRefused("dataset.step", message, "Decide about columns and problems first.", 409)
        if undecided := _undecided(now, now.asked):
            raise undecided
        if split and split.get("kind") == "file" and not now.second_key:
            raise UploadRefused("dataset.second_file", "There is no second file to hold out.", "Choose one.")
        if split and split.get("kind") == "column" and split.get("column") not in now.file_columns:
            message = "No column is chosen that says which rows are held out."
            raise UploadRefused("dataset.split", message, f"Choose one of {', '.join(now.file_columns[:12])}.")
        asked = {**now.asked, "split": split} if split else dict(now.asked)
        sent_with = asked.pop("licence", None)
        _give_name(user, now, name.strip()[:120], sent_with if licence is None else licence)
        now.asked = asked
        _start(now)
    return now


def _give_name(user: User, version: DatasetVersion, name: str, licence: str | None) -> None:
    """The dataset's new name and licence; or the dataset that has the name, which gets this as its next version."""
    own = version.dataset
    alone = not own.versions.exclude(pk=version.pk).exists()
    other = Dataset.objects.filter(team=own.team, name=name).exclude(pk=own.pk).first() if name else None
    if other is not None and alone:
        require_not_archived(other)
        Dataset.objects.select_for_update().get(pk=other.pk)
        version.number = (other.versions.aggregate(last=Max("number"))["last"] or 0) + 1
        version.dataset = other
        version.save(update_fields=["dataset", "number"])
        own.delete()
    elif name and alone:
        own.name = name
    if licence is not None and (licence.strip() or version.dataset == own):
        version.dataset.licence = licence.strip()[:120]
    try:
        version.dataset.save(update_fields=["name", "licence"])
    except IntegrityError as error:
        message = f"The team just got another dataset named {name}."
        raise UploadRefused("dataset.name_taken", message, "Save again to add a version to it.") from error
    AuditEntry.note(user, version.dataset.team, "dataset.save", version.pk, name=version.dataset.name)


def add_second_file(
    user: User, version: DatasetVersion, file: UploadedFile[bytes], read: dict[str, Any] | None = None
) -> DatasetVersion:
    """A file whose rows are all held out for evaluation; `read`: how, see Choices.second.

    Raises UploadRefused, NotAllowed, DiskNearlyFull.
    """
    require(user, version.dataset.team_id, Role.MEMBER)
    stored = keep(file, f"{version.dataset.team_id or 'site'}/uploads")
    try:
        with transaction.atomic():
            now = _draft_of(user, version)
            before, now.second_key, now.second_name = now.second_key, stored.key, shown_name(file.name or "")
            now.asked = {**now.asked, "second": how_to_read(read or {})} | renaming(file.name or "")
            now.save(update_fields=["second_key", "second_name", "asked"])
    except BaseException:
        forget(stored.key)
        raise
    if before:
        forget(before)
    return now


def discard(user: User, version: DatasetVersion) -> None:
    """Forget a draft, or what is being checked for the first time, and its file, and the dataset begun with it.

    Whoever reads the file notices, and stops.

    Raises UploadRefused, NotAllowed.
    """
    with transaction.atomic():
        now = _draft_of(user, version, readable=False)
        AuditEntry.note(user, now.dataset.team, "dataset.discard", now.pk, name=now.dataset.name)
        dataset, keys = now.dataset, now.stored_keys
        now.delete()
        if not dataset.versions.exists():
            dataset.delete()
        transaction.on_commit(partial(forget_unneeded, keys))


def _draft_of(user: User, version: DatasetVersion, readable: bool = True) -> DatasetVersion:
    """The row, locked, as long as it may be changed. Raises UploadRefused, NotAllowed."""
    require(user, version.dataset.team_id, Role.MEMBER)
    now = DatasetVersion.objects.select_for_update(of=("self",)).select_related("dataset__team").get(pk=version.pk)
    require_not_archived(now.dataset)
    if not now.step and (readable or now.state != VersionState.CHECKING):
        message = "This version is saved, and a saved version does not change."
        if now.refused:
            message = "Nothing could be made of this file, so there is nothing to choose."
        raise UploadRefused("dataset.saved", message, "Upload the file again, or choose anew on its page.", 409)
    if readable:
        require_readable(now)
    return now


def _read(user: User, version: DatasetVersion, step: str, asked: dict[str, Any]) -> DatasetVersion:
    with transaction.atomic():
        now = _draft_of(user, version)
        now.asked, now.step = asked, step
        _start(now)
    return now


def _start(version: DatasetVersion) -> None:
    version.state, version.check_lease_until = VersionState.CHECKING, None
    version.save(update_fields=["asked", "step", "state", "check_lease_until"])
    transaction.on_commit(partial(tasks.wake, version.pk))
