"""Turns what a person chose into a queued job: checks every choice, resolves every default, freezes the spec."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.db import IntegrityError, transaction

from webapp.accounts.models import AuditEntry, Role, Team, User
from webapp.accounts.permissions import require
from webapp.basemodels.models import BaseModel, BaseModelState
from webapp.datasets.models import DatasetVersion, VersionState
from webapp.jobs import quotas, transitions
from webapp.jobs.costs import costs
from webapp.jobs.estimating import Estimate, estimate, start_of
from webapp.jobs.fitting import no_worker_is_equipped
from webapp.jobs.least_memory import least_memory_bytes
from webapp.jobs.models import Job, Study
from webapp.jobs.queue_options import QueueOptions
from webapp.jobs.refusing import FieldProblem, LaunchRefused
from webapp.jobs.token_refusals import token_refusals
from webapp.plain_text import clean_name
from webapp.storing import require_space
from workers.methods import METHODS, find_method
from workers.methods.hyperparameters import Training
from workers.methods.method import Method
from workers.methods.options import OptionsError, describe
from workers.methods.resolving import resolve
from workers.protocol import JobSpec

KEY_LENGTH = 100


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
    queue: dict[str, Any] = field(default_factory=dict)
    """Fields of QueueOptions."""
    idempotency_key: str | None = None
    study: Study | None = None


def pairing(base_model: BaseModel, version: DatasetVersion, method: str) -> str | None:
    """A sentence why these three do not go together, or None."""
    task = version.task
    if task not in base_model.tasks:
        can = " and ".join(base_model.tasks) or "nothing yet"
        return f"{base_model.name} can do {can}; {version} is a {task} dataset."
    if "messages" in version.columns and not base_model.chat_template:
        return f"{version} holds messages, and {base_model.name} has no chat template to write them with."
    try:
        return METHODS[method].refusal(base_model.read_shape, task) or None  # type: ignore[arg-type]
    except ValueError:
        return None  # a shape that cannot be read is said elsewhere


def would_be(user: User, wanted: Launch) -> Estimate:
    """What the job would come to; nothing is stored. Raises LaunchRefused, NotAllowed."""
    require(user, wanted.team.pk, Role.MEMBER)
    method = _checked_choices(wanted)
    queue = _queue_options(wanted)
    _check_library(method, queue.pool, wanted.team)
    spec = _spec(wanted, method, queue.gpus)
    resolved = {"options": spec.options, "training": spec.training}
    return estimate(method, wanted.base_model, wanted.dataset_version, resolved)


def launch(user: User, wanted: Launch) -> Job:
    """Queue a job. Raises LaunchRefused with every problem, NotAllowed, DiskNearlyFull."""
    require(user, wanted.team.pk, Role.MEMBER)
    repeated = _asked_before(user, wanted)
    if repeated:
        return repeated
    method = _checked_choices(wanted)
    queue = _queue_options(wanted)
    if queue.priority > 0:
        require(user, wanted.team.pk, Role.MAINTAINER)
    _check_library(method, queue.pool, wanted.team)
    spec = _spec(wanted, method, queue.gpus)
    require_space(3 * wanted.base_model.bytes if method.name == "full" else 0)
    worked_out = _worked_out(wanted, spec)  # before the transaction: SQLite lets one writer in at a time
    try:
        with transaction.atomic():
            quotas.require_room(wanted.team, user, queue.pool)
            return _store(user, wanted, spec, queue, worked_out)
    except IntegrityError:
        repeated = _asked_before(user, wanted)  # the same request, sent twice at once: the other one won
        if repeated is None:
            wanted.dataset_version.refresh_from_db(fields=["state"])  # or the dataset was deleted just now
            raise
        return repeated


def _asked_before(user: User, wanted: Launch) -> Job | None:
    """The job of the same request. Raises LaunchRefused where the key is too long or belongs to another request."""
    key = wanted.idempotency_key
    if not key:
        return None
    if len(key) > KEY_LENGTH:
        hint = f"Use at most {KEY_LENGTH} characters, such as a random UUID."
        raise LaunchRefused([FieldProblem("idempotency_key", "job.key", f"The key has {len(key):,} characters.", hint)])
    job = Job.objects.filter(team=wanted.team, idempotency_key=key).first()
    if job is not None and not _same_request(user, wanted, job):
        message = "This Idempotency-Key was used for another request of the team."
        hint = "Use a new key for every job; send the same one only with the same request."
        raise LaunchRefused([FieldProblem("idempotency_key", "job.key", message, hint)])
    return job


def _same_request(user: User, wanted: Launch, job: Job) -> bool:
    """By person and choices. Options are not compared: the job holds them resolved, not as they were sent."""
    chosen = (user.pk, wanted.base_model.pk, wanted.dataset_version.pk, wanted.method)
    named = clean_name(wanted.name)[:120]
    return chosen == (job.created_by_id, job.base_model_id, job.dataset_version_id, job.method) and (
        not named or named == job.name
    )


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
    if version.dataset.archived_at is not None:
        problem = f"{version.dataset.name} is archived."
        problems.append(FieldProblem("dataset_version", "job.dataset_archived", problem, "Bring it back on its page."))
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


def _queue_options(wanted: Launch) -> QueueOptions:
    try:
        options: QueueOptions = QueueOptions.from_json(wanted.queue)
    except OptionsError as error:
        raise LaunchRefused([_of(error, error.field)]) from error
    return options


def _check_library(method: Method, pool: str, team: Team) -> None:
    if not method.library or not no_worker_is_equipped(method.name, pool, team.pk):
        return
    message = f"{method.title} needs the package {method.library}, and no worker of pool {pool} has it."
    fix = f"Run `pip install {method.library}` on one of them and start it anew, or choose another method."
    raise LaunchRefused([FieldProblem("method", "job.library_missing", message, fix)])


def _check_batch(training: dict[str, Any], gpus: int) -> None:
    """The batch size counts over all GPUs, so each must get an equal share of it."""
    rows = training["batch_size"]
    if rows % gpus == 0:
        return
    below, above = rows // gpus * gpus, -(-rows // gpus) * gpus
    message = f"`batch_size` is {rows:,} and counts over all {gpus} GPUs, but {rows:,} rows cannot be shared equally."
    fix = f"Use {below:,} or {above:,}." if below else f"Use {above:,}, or fewer GPUs."
    raise LaunchRefused([FieldProblem("training.batch_size", "job.batch_not_divisible", message, fix)])


def _spec(wanted: Launch, method: Method, gpus: int) -> JobSpec:
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
            start_of(version),
        )
    except OptionsError as error:
        raise LaunchRefused([_of(error, _place(error.field, wanted, method))]) from error
    _check_batch(training, gpus)
    if refused := list(token_refusals(wanted.base_model, version, training["max_length"])):
        raise LaunchRefused(refused)
    return JobSpec(
        job_id=0,
        name=clean_name(wanted.name)[:120] or _made_up_name(wanted, method),
        task=version.task,  # type: ignore[arg-type]
        base_model=wanted.base_model.as_reference(),
        dataset=version.as_reference(),
        method=method.name,
        options=options,
        training=training,
        gpus=gpus,
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


def _store(user: User, wanted: Launch, spec: JobSpec, queue: QueueOptions, worked_out: dict[str, Any]) -> Job:
    job = Job(
        team=wanted.team,
        name=spec.name,
        created_by=user,
        base_model=wanted.base_model,
        dataset_version=wanted.dataset_version,
        method=spec.method,
        task=spec.task,
        spec=spec.as_json(),
        pool=queue.pool,
        priority=queue.priority,
        gpus=queue.gpus,
        run_after=queue.starts_after,
        **worked_out,
        idempotency_key=wanted.idempotency_key,
        study=wanted.study,
    )
    transitions.enqueue(job, user.username)
    AuditEntry.note(user, wanted.team, "job.launch", job.pk, method=spec.method)
    return job


def _worked_out(wanted: Launch, spec: JobSpec) -> dict[str, Any]:
    """The least memory that it needs, and the estimate that is kept with it, to be held against what it then needs."""
    team, model, version, method = wanted.team, wanted.base_model, wanted.dataset_version, METHODS[spec.method]
    exact = estimate(method, model, version, {"options": spec.options, "training": spec.training})
    return {
        "least_memory_bytes": least_memory_bytes(team, model, version, spec),
        "estimated": costs(team, method, model, version, exact).in_brief,
    }
