"""Files that attempts and inspections fetch and hand in: checked by sha256, listed only when complete."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any

from django.db import transaction
from django.http import HttpRequest

from webapp.basemodels.models import BaseModel
from webapp.jobs.models import Artifact, Attempt, Checkpoint, Inspection, Job, StoredPart
from webapp.jobs.recording import say
from webapp.jobs.reported import ArrivedDamaged, BadReport
from webapp.jobs.reporting import renew
from webapp.jobs.scheduling import newest_checkpoint
from webapp.jobs.scrubbing import mark_damaged
from webapp.jobs.transitions import StaleAttempt
from webapp.storing import CHUNK_BYTES, Stored, chunks_of, forget, forget_all, open_stored, require_space, store
from workers.protocol import MANIFEST

ALLOWED_ENDINGS = (".safetensors", ".json", ".md", ".txt", ".jinja", ".model", ".jsonl", ".py")
CHECKPOINT_ENDINGS = (*ALLOWED_ENDINGS, ".pt")
"""Optimizer and random states are torch files: only our own trainer reads them back, with weights_only."""
PLAIN_PATH = re.compile(r"[\w.-]+(/[\w.-]+)*", re.ASCII)
"""Means the same on every system, whatever unpacks it."""
CARD = "README.md"
CARD_BYTES = 1_000_000
"""A page shows the card, so it is no longer than a page can be."""
KEPT_CHECKPOINTS = 2
FileList = list[dict[str, Any]]


def input_files(attempt: Attempt) -> FileList:
    """All that this attempt may read: its dataset version, base model and checkpoint. name, bytes, sha256, key/path."""
    job = attempt.job
    version = job.dataset_version
    checkpoint = newest_checkpoint(job)
    rows = {"name": "rows.jsonl", "bytes": version.bytes, "sha256": version.sha256, "key": version.file_key}
    return [rows, *base_model_files(job.base_model), *(checkpoint.files if checkpoint else [])]


def base_model_files(model: BaseModel) -> FileList:
    """A base model's files; those of a registered folder carry their path instead of a key."""
    if not model.folder:
        return list(model.files)
    return [{**file, "path": str(Path(model.folder) / file["name"])} for file in model.files]


def open_for_attempt(attempt: Attempt, sha256: str) -> tuple[IO[bytes], int] | None:
    """One of its inputs, open. A file of the checkpoint is read once more first: damage is found here, not in training.

    Raises CheckpointDamaged; the checkpoint is marked, and the next attempt gets the one before it.
    """
    checkpoint = newest_checkpoint(attempt.job)
    file = next((each for each in checkpoint.files if each["sha256"] == sha256), None) if checkpoint else None
    if checkpoint is None or file is None:
        return open_input(input_files(attempt), sha256)
    opened = verified(file)
    if opened is None:
        what = f"{file['name']} is not what was stored, or gone"
        mark_damaged(Checkpoint.objects.filter(pk=checkpoint.pk), what)
        raise CheckpointDamaged(f"The checkpoint of step {checkpoint.step:,} is damaged in storage: {what}.")
    return opened, int(file["bytes"])


def distrust_checkpoint(attempt: Attempt) -> None:
    """Its trainer could not read what it was to resume from: the next attempt gets the one before it."""
    checkpoint = newest_checkpoint(attempt.job)
    if checkpoint is not None and checkpoint.attempt_id != attempt.pk:
        mark_damaged(Checkpoint.objects.filter(pk=checkpoint.pk), f"attempt {attempt.number} could not read it")


class CheckpointDamaged(Exception):
    """The checkpoint to resume from is not what was stored (410)."""


def open_input(files: FileList, sha256: str) -> tuple[IO[bytes], int] | None:
    """The listed file with this hash, open, and its length; None if it is not listed or gone."""
    file = next((file for file in files if file["sha256"] == sha256), None)
    if file is None:
        return None
    try:
        opened = Path(file["path"]).open("rb") if "path" in file else open_stored(file["key"])  # noqa: SIM115
    except FileNotFoundError:
        return None
    return opened, int(file["bytes"])


def take_part(request: HttpRequest, owner: Attempt | Inspection, sha256: str) -> bool:
    """Store the request's body if its hash is right; False if it was there already. Raises BadReport."""
    mine = StoredPart.objects.filter(**_owned_by(owner), sha256=sha256)
    if mine.exists():
        return False
    length = request.headers.get("Content-Length", "")
    if not length.isdecimal():
        raise BadReport("A file is sent with its Content-Length, so that room for it can be checked first.")
    require_space(int(length))
    job = owner.job if isinstance(owner, Attempt) else owner.artifact.job if owner.artifact else None
    team = job.team_id if job else "site"
    kind = "attempts" if isinstance(owner, Attempt) else "inspections"
    stored = store(f"{team}/{kind}/{owner.pk}", _body_of(request, int(length)))
    if stored.sha256 != sha256:
        forget(stored.key)
        raise ArrivedDamaged("The file's sha256 is not the one announced. Send it again.")
    return _note_part(owner, stored)


def _note_part(owner: Attempt | Inspection, stored: Stored) -> bool:
    """The part's row, made once whatever is sent twice at once; nothing of an ended attempt is kept."""
    with transaction.atomic():
        if isinstance(owner, Attempt):
            ended = Attempt.objects.filter(pk=owner.pk, state=Attempt.State.ENDED).exists()
        else:
            ended = not Inspection.objects.filter(pk=owner.pk, state=Inspection.State.RUNNING).exists()
        made = False
        if not ended:
            defaults = {"bytes": stored.bytes, "key": stored.key}
            _, made = StoredPart.objects.get_or_create(**_owned_by(owner), sha256=stored.sha256, defaults=defaults)
    if not made:
        forget(stored.key)
    if ended:
        raise StaleAttempt
    return made


def _owned_by(owner: Attempt | Inspection) -> dict[str, Any]:
    return {"attempt": owner} if isinstance(owner, Attempt) else {"inspection": owner}


def _body_of(request: HttpRequest, left: int) -> Iterator[bytes]:
    while chunk := request.read(min(left, CHUNK_BYTES)):
        left -= len(chunk)
        yield chunk


def listed(owner: Attempt | Inspection, files: FileList, endings: tuple[str, ...] = ALLOWED_ENDINGS) -> FileList:
    """The files with their keys. Raises BadReport if one was not handed in or has an unwanted name."""
    parts = {part.sha256: part for part in StoredPart.objects.filter(**_owned_by(owner))}
    complete = []
    names = {file["name"].casefold() for file in files}
    if len(names) < len(files):
        raise BadReport("Two files have the same name, or differ in small and capital letters alone. Rename one.")
    for file in files:
        _check_name(file["name"], endings)
        part = parts.get(file["sha256"])
        if part is None:
            raise BadReport(f"`{file['name']}` was not handed in.")
        complete.append({"name": file["name"], "bytes": part.bytes, "sha256": part.sha256, "key": part.key})
    return complete


def _check_name(name: str, endings: tuple[str, ...]) -> None:
    if not PLAIN_PATH.fullmatch(name) or {".", ".."} & set(name.split("/")):
        raise BadReport("A file name is a plain relative path of letters, digits, dots, dashes and underscores.")
    if not name.endswith(endings):
        raise BadReport(f"`{name}` is not a kind of file we keep: {', '.join(endings)}.")


def keep_checkpoint(attempt: Attempt, step: int, best: bool, files: FileList) -> Checkpoint:
    """List a complete checkpoint; older ones go, but for the best."""
    with transaction.atomic():
        renew(attempt)
        last_step = Job.objects.values_list("total_steps", flat=True).get(pk=attempt.job_id)
        if last_step and step > last_step:
            raise BadReport(f"Step {step:,} lies beyond the job's last, {last_step:,}.")
        complete = listed(attempt, files, CHECKPOINT_ENDINGS)
        _require_manifest(complete)
        size = sum(file["bytes"] for file in complete)
        checkpoint, made = Checkpoint.objects.get_or_create(
            attempt=attempt, job=attempt.job, step=step, defaults={"best": best, "bytes": size, "files": complete}
        )
        if made and best:
            Checkpoint.objects.filter(job=attempt.job).exclude(pk=checkpoint.pk).update(best=False)
        _drop_old_checkpoints(attempt)
    return checkpoint


def _drop_old_checkpoints(attempt: Attempt) -> None:
    of_job = Checkpoint.objects.filter(job=attempt.job).order_by("-step", "-id")
    kept = [*of_job.filter(damaged_at=None)[:KEPT_CHECKPOINTS], *of_job.filter(best=True)]
    for old in of_job.exclude(pk__in=[each.pk for each in kept]):
        listed_elsewhere = [*kept, *attempt.job.artifacts.all()]
        keys = {file["key"] for file in old.files} - {file["key"] for each in listed_elsewhere for file in each.files}
        StoredPart.objects.filter(key__in=keys).delete()
        old.delete()
        transaction.on_commit(partial(forget_all, keys), robust=True)  # what stays is swept


def keep_artifact(attempt: Attempt, kind: str, files: FileList, manifest: dict[str, Any]) -> Artifact:
    """List a complete delta artifact. Raises BadReport unless it holds what its manifest says."""
    with transaction.atomic():
        renew(attempt)
        complete = listed(attempt, files)
        require_whole(complete, manifest)
        size = sum(file["bytes"] for file in complete)
        artifact, made = Artifact.objects.get_or_create(
            attempt=attempt,
            job=attempt.job,
            kind=kind,
            defaults={"bytes": size, "files": complete, "manifest": manifest},
        )
        if made:
            say(attempt.job_id, "artifact", {"bytes": size, "id": artifact.pk}, attempt)
    return artifact


def require_whole(files: FileList, manifest: dict[str, Any]) -> None:
    """Raises BadReport unless a folder holds what its manifest says."""
    _require_manifest(files)
    _require_same(files, manifest)
    _require_short_card(files)


def _require_manifest(files: FileList) -> None:
    if not any(file["name"] == MANIFEST for file in files):
        raise BadReport("The manifest is missing, so the folder is not complete.")


def _require_same(files: FileList, manifest: dict[str, Any]) -> None:
    """The manifest's own list of files is the one handed in."""
    try:
        said = {str(file["name"]): file["sha256"] for file in manifest["files"]}
    except (KeyError, TypeError) as error:
        raise BadReport("The manifest's `files` is not a list of name, bytes and sha256.") from error
    sent = {file["name"]: file["sha256"] for file in files if file["name"] != MANIFEST}
    if said != sent:
        raise BadReport("The manifest lists other files than were handed in.")


def _require_short_card(files: FileList) -> None:
    if any(file["name"] == CARD and file["bytes"] > CARD_BYTES for file in files):
        raise BadReport(f"{CARD} is longer than {CARD_BYTES:,} bytes. Write a shorter card.")


def digest_of(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    for chunk in chunks_of(file):
        digest.update(chunk)
    return digest.hexdigest()


def verified(file: dict[str, Any]) -> IO[bytes] | None:
    """The stored file, open, if it still has the hash it was taken in with; None if it is damaged or gone."""
    try:
        opened = open_stored(file["key"])
    except FileNotFoundError:
        return None
    if digest_of(opened) != file["sha256"]:
        opened.close()
        return None
    opened.seek(0)
    return opened
