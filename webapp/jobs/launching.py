"""Turns what a person chose into a queued job: checks every choice, resolves every default, freezes the spec."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.db import IntegrityError, transaction

from webapp.accounts.models import AuditEntry, Role, Team, User
from webapp.accounts.permissions import require
from webapp.basemodels.models import BaseModel, BaseModelState
from webapp.datasets.models import DatasetVersion, VersionState
from webapp.jobs import transitions
from webapp.jobs.models import Job
from webapp.jobs.refusing import FieldProblem, LaunchRefused
from webapp.storing import require_space
from workers.methods import METHODS, find_method
from workers.methods.hyperparameters import Training
from workers.methods.method import Method
from workers.methods.options import OptionsError, describe
from workers.methods.resolving import resolve
from workers.protocol import DEFAULT_POOL, JobSpec


@dataclass(frozen=True)
class Launch:
    """What a person chose. Everything not named takes the method's own default."""

    team: Team
    base_model: BaseModel
    dataset_version: DatasetVersion
    method: str
    options: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    name: str = ""
    priority: int = 0
    pool: str = DEFAULT_POOL
    idempotency_key: str | None = None


def pairing(base_model: BaseModel, version: DatasetVersion, method: str) -> str | None:
    """A sentence why these three do not go together, or None."""
    task = version.task
    if task not in base_model.tasks:
        can = " and ".join(base_model.tasks) or "nothing yet"
        return f"{base_model.name} can do {can}; {version} is a {task} dataset."
    if task not in METHODS[method].tasks:
        return f"{METHODS[method].title} does not do {task}."
    return None


def launch(user: User, wanted: Launch) -> Job:
    """Queue a job. Raises LaunchRefused with every problem, NotAllowed, DiskNearlyFull."""
    require(user, wanted.team.pk, Role.MEMBER)
    repeated = _asked_before(wanted)
    if repeated:
        return repeated
    method = _checked_choices(wanted)
    spec = _spec(wanted, method)
    require_space(3 * wanted.base_model.bytes if method.name == "full" else 0)
    try:
        with transaction.atomic():
            return _store(user, wanted, spec)
    except IntegrityError:
        repeated = _asked_before(wanted)  # the same request, sent twice at once: the other one won
        if repeated is None:
            raise
        return repeated


def _asked_before(wanted: Launch) -> Job | None:
    if not wanted.idempotency_key:
        return None
    return Job.objects.filter(team=wanted.team, idempotency_key=wanted.idempotency_key).first()


def _checked_choices(wanted: Launch) -> Method:
    problems = []
    model, version = wanted.base_model, wanted.dataset_version
    for name, place, team_id in (
        (model.name, "base_model", model.team_id),
        (str(version), "dataset_version", version.dataset.team_id),
    ):
        if team_id not in (None, wanted.team.pk):
            message = f"{name} belongs to another team than the job."
            problems.append(FieldProblem(place, "job.other_team", message, "Switch to its team, or choose another."))
    if model.state != BaseModelState.READY:
        fix = "Wait until its check is done." if model.state == BaseModelState.CHECKING else "Choose another."
        problems.append(FieldProblem("base_model", "job.base_model_not_ready", f"{model.name} is {model.state}.", fix))
    if version.state != VersionState.READY:
        fix = "Wait until its check is done." if version.state == VersionState.CHECKING else "Choose another version."
        problems.append(FieldProblem("dataset_version", "job.dataset_not_ready", f"{version} is {version.state}.", fix))
    try:
        method = find_method(wanted.method)
    except OptionsError as error:
        raise LaunchRefused([*problems, _of(error, "method")]) from error
    if not problems and (why := pairing(model, version, method.name)):
        hint = "Choose a base model, dataset and method for the same task."
        problems.append(FieldProblem("base_model", "job.pairing", why, hint))
    if problems:
        raise LaunchRefused(problems)
    return method


def _of(error: OptionsError, place: str) -> FieldProblem:
    return FieldProblem(place, "job.option", error.message, error.hint)


def _spec(wanted: Launch, method: Method) -> JobSpec:
    version = wanted.dataset_version
    try:
        options, training = resolve(
            method,
            wanted.options,
            wanted.training,
            wanted.base_model.read_shape,
            version.task,  # type: ignore[arg-type]
            version.rows["train"],
            version.rows["eval"],
        )
    except OptionsError as error:
        raise LaunchRefused([_of(error, _place(error.field, wanted, method))]) from error
    return JobSpec(
        job_id=0,
        name=wanted.name.strip()[:120] or _made_up_name(wanted, method),
        task=version.task,  # type: ignore[arg-type]
        base_model=wanted.base_model.as_reference(),
        dataset=version.as_reference(),
        method=method.name,
        options=options,
        training=training,
    )


def _place(name: str, wanted: Launch, method: Method) -> str:
    """Where in the request a field stands: an option of the method, or of the training, or beside them."""
    options = {fact.name for fact in describe(method.options)} | wanted.options.keys()
    training = {fact.name for fact in describe(Training)} | wanted.training.keys()
    if name in options:
        return f"options.{name}"
    return f"training.{name}" if name in training else name


def _made_up_name(wanted: Launch, method: Method) -> str:
    return f"{method.title} · {wanted.base_model.name} · {wanted.dataset_version}"[:120]


def _store(user: User, wanted: Launch, spec: JobSpec) -> Job:
    job = Job.objects.create(
        team=wanted.team,
        name=spec.name,
        created_by=user,
        base_model=wanted.base_model,
        dataset_version=wanted.dataset_version,
        method=spec.method,
        task=spec.task,
        spec=spec.as_json(),
        pool=wanted.pool,
        priority=wanted.priority,
        queue_position=transitions.next_position(wanted.pool),
        idempotency_key=wanted.idempotency_key,
    )
    job.spec = {**job.spec, "job_id": job.pk}
    job.save(update_fields=["spec"])
    AuditEntry.note(user, wanted.team, "job.launch", job.pk, method=spec.method)
    transitions.created(job, user.username)
    return job
