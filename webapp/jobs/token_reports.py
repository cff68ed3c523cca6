"""What a dataset version is for a base model's tokenizer: asked of a worker once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from webapp.accounts.models import AuditEntry, Role, User
from webapp.accounts.permissions import NotAllowed, require, teams_to_work_in
from webapp.basemodels.models import BaseModel, BaseModelState
from webapp.datasets.models import DatasetVersion, VersionState
from webapp.jobs.handing_in import base_model_files
from webapp.jobs.inspecting import WEIGHTS, ask
from webapp.jobs.models import Inspection
from webapp.jobs.refusing import FieldProblem, LaunchRefused
from workers.methods.hyperparameters import SHORTEST
from workers.methods.resolving import START_VALUES

KIND = "token_report"
OPEN_AT_MOST = 5
"""Of one person: workers answer questions before they take jobs."""
LONGEST = 131_072
"""As of a job: what is looked at can be trained."""


@dataclass(frozen=True)
class Asked:
    """Which report somebody wants."""

    version: DatasetVersion
    base_model: BaseModel
    max_length: int


def asked(version: DatasetVersion, base_model: BaseModel, max_length: int | None) -> Asked:
    """None: cut where a job on these two would. Raises LaunchRefused with every problem."""
    problems = list(_pair_problems(version, base_model))
    if not problems and max_length is None:
        max_length = _usual_length(version, base_model)
    if max_length is not None and not SHORTEST <= max_length <= LONGEST:
        hint = f"Use {SHORTEST} to {LONGEST:,} tokens."
        problems.append(FieldProblem("max_length", "tokens.max_length", f"`max_length` is {max_length:,}.", hint))
    if problems or max_length is None:
        raise LaunchRefused(problems)
    return Asked(version, base_model, max_length)


def _usual_length(version: DatasetVersion, base_model: BaseModel) -> int:
    length: int = (version.long_rows or START_VALUES[version.task])["max_length"]  # type: ignore[index]
    return max(SHORTEST, min(length, base_model.read_shape.positions or length))


def newest(wanted: Asked) -> Inspection | None:
    """The newest inspection of these rows that answers it, or tries to."""
    found = of_rows(wanted.version).filter(base_model=wanted.base_model)
    return found.filter(question__max_length=wanted.max_length).first()


def of_rows(version: DatasetVersion) -> QuerySet[Inspection]:
    """The reports on the version's rows as they are now, newest first: those of a draft change with each check."""
    asked = Inspection.objects.filter(dataset_version=version, question__kind=KIND)
    return asked.filter(question__rows_sha256=version.rows_sha256)


def ask_for(user: User, wanted: Asked) -> Inspection:
    """The report that is there, is on its way, or is asked for now. Raises NotAllowed, LaunchRefused."""
    if wanted.version.dataset.team_id is not None:
        require(user, wanted.version.dataset.team_id, Role.MEMBER)
    elif not user.is_superuser and not teams_to_work_in(user):
        raise NotAllowed(Role.MEMBER)
    with transaction.atomic():
        DatasetVersion.objects.select_for_update(no_key=True).get(pk=wanted.version.pk)  # asked twice, read once
        found = newest(wanted)
        if found is not None and (found.open or found.state == Inspection.State.ANSWERED):
            return found
        waiting = Inspection.objects.filter(
            asked_by=user, question__kind=KIND, state__in=[Inspection.State.QUEUED, Inspection.State.RUNNING]
        )
        if waiting.count() >= OPEN_AT_MOST:
            message = f"{OPEN_AT_MOST} of your questions about tokens wait for an answer."
            raise LaunchRefused([FieldProblem("max_length", "tokens.too_many", message, "Wait for one of them.")])
        AuditEntry.note(user, wanted.version.dataset.team, "dataset.tokens", wanted.version.pk)
        return _ask(wanted, user)


def _ask(wanted: Asked, user: User | None) -> Inspection:
    version, sample = wanted.version, wanted.version.sample
    stored = {"rows": sum(version.rows.get(side, 0) for side in ("train", "eval")), "one_in": 1}
    rows = stored if version.sha256 else {name: sample[name] for name in stored}
    return ask(
        {
            "kind": KIND,
            "task": version.task,
            "labels": list(version.labels),
            "max_length": wanted.max_length,
            "rows_sha256": version.rows_sha256,
            **rows,
        },
        dataset_version=version,
        base_model=wanted.base_model,
        files=_files(wanted),
        asked_by=user,
    )


def ask_again(version: DatasetVersion) -> Inspection | None:
    """Of rows that are stored now, what was asked while they were a draft; None where nothing was."""
    asked = Inspection.objects.filter(dataset_version=version, question__kind=KIND).select_related("base_model")
    before = asked.first()
    if before is None or before.base_model is None or before.question.get("rows_sha256") == version.sha256:
        return None
    wanted = Asked(version, before.base_model, int(before.question["max_length"]))
    return None if list(_pair_problems(version, before.base_model)) else _ask(wanted, before.asked_by)


def _pair_problems(version: DatasetVersion, model: BaseModel) -> Iterator[FieldProblem]:
    fix = "Wait until its check is done, or choose another."
    if version.dataset.archived_at is not None:
        message = f"{version.dataset.name} is archived."
        yield FieldProblem("dataset_version", "tokens.archived", message, "Bring it back on its page.")
    if version.state != VersionState.READY and not (version.step and version.rows_sha256):
        yield FieldProblem("dataset_version", "tokens.not_ready", f"{version} is {version.state}.", fix)
    elif model.state != BaseModelState.READY:
        yield FieldProblem("base_model", "tokens.not_ready", f"{model.name} is {model.state}.", fix)
    elif version.task not in model.tasks:
        can = " and ".join(model.tasks) or "nothing yet"
        message = f"{model.name} can do {can}; {version} is a {version.task} dataset."
        yield FieldProblem("base_model", "tokens.pairing", message, "Choose another base model.")
    if None not in (version.dataset.team_id, model.team_id) and version.dataset.team_id != model.team_id:
        message = f"{model.name} belongs to another team than {version}."
        yield FieldProblem("base_model", "tokens.other_team", message, "Choose one of the same team.")


def _files(wanted: Asked) -> list[dict[str, Any]]:
    version = wanted.version
    rows = {"name": "rows.jsonl", "bytes": version.bytes, "sha256": version.sha256, "key": version.file_key}
    if not version.sha256:
        rows |= {name: version.sample[name] for name in ("bytes", "sha256", "key")}
    small = [file for file in base_model_files(wanted.base_model) if not file["name"].endswith(WEIGHTS)]
    return [rows, *({**file, "name": f"base_model/{file['name']}"} for file in small)]
