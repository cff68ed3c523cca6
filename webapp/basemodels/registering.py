"""Puts base models into the catalogue: a hub id at a pinned revision, or a folder on the site's machine.

Only safetensors weights are taken. What needs torch or a hub is asked of a worker by the jobs room, which listens for
new rows in `checking`.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from webapp.accounts.models import AuditEntry, Role, Team, User
from webapp.accounts.permissions import require
from webapp.basemodels.models import BaseModel, BaseModelState, Source

HUB_ID = re.compile(r"[a-zA-Z0-9][\w.-]{0,95}(/[\w.-]{1,96})?", re.ASCII)
REVISION = re.compile(r"[\w./-]{1,80}", re.ASCII)
WANTED = re.compile(r"[\w.-]+\.(safetensors|json|txt|model|jinja)", re.ASCII)
PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".joblib", ".h5")


class RegistrationRefused(Exception):
    """The base model cannot be taken; nothing was stored (422)."""

    def __init__(self, field: str, code: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.field, self.code, self.message, self.hint = field, code, message, hint


def register_hub(
    user: User, team: Team | None, hub_id: str, revision: str, idempotency_key: str | None = None
) -> BaseModel:
    """A model hub's repository at a pinned revision; a worker fetches it. The same one again for the same key.

    Raises RegistrationRefused, NotAllowed.
    """
    require(user, team.pk if team else None, Role.MEMBER)
    if repeated := _asked_before(user, team, idempotency_key):
        return repeated
    hub_id, revision = hub_id.strip(), revision.strip()
    if not HUB_ID.fullmatch(hub_id) or ".." in hub_id:
        raise RegistrationRefused(
            "hub_id", "basemodel.hub_id", f"`{hub_id[:80]}` is not a hub id.", "Write it as owner/name, without a URL."
        )
    if not REVISION.fullmatch(revision) or ".." in revision:
        raise RegistrationRefused(
            "revision",
            "basemodel.revision",
            "A base model is pinned to a revision, so that every job trains the same weights.",
            "Give the commit (40 hex digits, best) or a tag.",
        )
    pinned = {"source": Source.HUB, "hub_id": hub_id, "revision": revision}
    try:
        with transaction.atomic():
            own = {"created_by": user, "idempotency_key": idempotency_key}
            model = BaseModel.objects.create(team=team, name=hub_id, **pinned, **own)
            AuditEntry.note(user, team, "basemodel.register", model.pk, hub_id=hub_id, revision=revision)
    except IntegrityError:
        repeated = _asked_before(user, team, idempotency_key)  # the same request, sent twice at once: the other one won
        if repeated is None:
            raise
        return repeated
    return model


def _asked_before(user: User, team: Team | None, key: str | None) -> BaseModel | None:
    if not key:
        return None
    model = BaseModel.objects.filter(team=team, idempotency_key=key).first()
    if len(key) > 100 or (model is not None and model.created_by_id != user.pk):
        message = "The Idempotency-Key is longer than 100 characters, or another person of the team used it."
        hint = "Use a new key for every base model, such as a random UUID."
        raise RegistrationRefused("idempotency_key", "basemodel.key", message, hint)
    return model


def register_folder(user: User, path: str, name: str = "", idempotency_key: str | None = None) -> BaseModel:
    """A folder below one of DELTABOARD_MODEL_FOLDERS; it stays where it is. Site admins only."""
    require(user, None, Role.MAINTAINER)
    if repeated := _asked_before(user, None, idempotency_key):
        return repeated
    folder = _allowed(path)
    files = _checked_files(folder)
    with transaction.atomic():
        model = BaseModel.objects.create(
            name=(name.strip() or folder.name)[:200],
            source=Source.FOLDER,
            folder=str(folder),
            files=files,
            bytes=sum(file["bytes"] for file in files),
            created_by=user,
            idempotency_key=idempotency_key,
        )
        AuditEntry.note(user, None, "basemodel.register", model.pk, folder=str(folder))
    return model


def _allowed(path: str) -> Path:
    folder = Path(path).resolve()
    roots = [root.resolve() for root in settings.MODEL_FOLDERS]
    if not roots:
        raise RegistrationRefused(
            "folder",
            "basemodel.no_folders",
            "No folder on the site's machine is open for base models.",
            "Set DELTABOARD_MODEL_FOLDERS to the folders that hold them and start the site again.",
        )
    if not any(folder.is_relative_to(root) for root in roots) or not folder.is_dir():
        known = ", ".join(str(root) for root in roots)
        raise RegistrationRefused(
            "folder",
            "basemodel.folder",
            "This is not a folder below one of those that are open for base models.",
            f"Give a folder below {known}.",
        )
    return folder


def _checked_files(folder: Path) -> list[dict[str, Any]]:
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    if "config.json" not in names:
        raise RegistrationRefused(
            "folder",
            "basemodel.no_config",
            f"The folder {folder.name} has no config.json.",
            "Give the folder that save_pretrained wrote.",
        )
    if not any(name.endswith(".safetensors") for name in names):
        raise _no_safetensors(folder, names)
    wanted = [folder / name for name in names if WANTED.fullmatch(name)]
    return [
        {"name": path.name, "bytes": path.stat().st_size, "sha256": _sha256(path), "key": ""}
        for path in wanted
        if path.resolve().is_relative_to(folder)
    ]


def _no_safetensors(folder: Path, names: list[str]) -> RegistrationRefused:
    pickled = [name for name in names if name.endswith(PICKLED)]
    if pickled:
        return RegistrationRefused(
            "folder",
            "basemodel.pickle_weights",
            f"{pickled[0]} is a pickle: loading it can run any code, so it is not opened.",
            "Save the weights as safetensors: model.save_pretrained(folder, safe_serialization=True).",
        )
    return RegistrationRefused(
        "folder",
        "basemodel.no_weights",
        f"The folder {folder.name} holds no .safetensors file.",
        "Give the folder that save_pretrained wrote.",
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def refuse(model: BaseModel, problem: dict[str, Any]) -> None:
    """A worker found out why it cannot be used."""
    BaseModel.objects.filter(pk=model.pk, state=BaseModelState.CHECKING).update(
        state=BaseModelState.REFUSED, problem=problem, progress=""
    )
