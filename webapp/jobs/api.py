"""Jobs, methods and workers for programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from django.db import transaction
from django.http import StreamingHttpResponse
from django.shortcuts import get_object_or_404
from ninja import Header, Router, Schema, Status
from ninja.errors import HttpError
from pydantic import Field

from webapp.accounts.auth import Caller
from webapp.accounts.models import Role
from webapp.accounts.permissions import may, teams_to_work_in
from webapp.basemodels.models import BaseModel
from webapp.datasets.models import DatasetVersion
from webapp.jobs import cancelling, enrolling, metrics, reordering, transitions
from webapp.jobs.answers import job_answer_in_full, job_answers, launched_answer, method_answer, worker_answer
from webapp.jobs.costs import costs
from webapp.jobs.filtering import FILTERS, filtered
from webapp.jobs.launching import Launch, launch, would_be
from webapp.jobs.marks import marks
from webapp.jobs.models import Event, Job, Worker
from webapp.jobs.queue_options import QueueOptions
from webapp.jobs.recording import messages_after
from webapp.jobs.refusing import FieldProblem, LaunchRefused
from webapp.paging import Share, Whole, page_together
from workers.methods import METHODS
from workers.methods.options import describe

jobs = Router(tags=["jobs"])
methods = Router(tags=["methods"])
estimates = Router(tags=["jobs"])
workers = Router(tags=["workers"])


def visible_jobs(request: Any) -> Any:
    """Jobs of the caller; a token reaches its own team only."""
    caller: Caller = request.auth
    seen = Job.objects.visible_to(caller.user)
    return seen.filter(team=caller.team) if caller.team else seen


def _job(request: Any, job_id: int) -> Job:
    rows = visible_jobs(request).select_related("team", "created_by").prefetch_related("artifacts")
    job: Job = get_object_or_404(rows, pk=job_id)
    return job


# ---- Methods ------------------------------------------------------------------------------------


@methods.get("")
def list_methods(request: Any) -> list[dict[str, Any]]:
    """Every delta method with its options."""
    return [method_answer(method) for method in METHODS.values()]


# ---- Jobs ---------------------------------------------------------------------------------------


QUEUE_FACTS = {fact.name: fact for fact in describe(QueueOptions)}


def _queue_field(name: str) -> Any:
    """A field of the queue's options: default, range and help are theirs."""
    fact = QUEUE_FACTS[name]
    return Field(fact.default, ge=fact.minimum, le=fact.maximum, description=fact.help)


class NewJob(Schema):
    base_model: int
    dataset_version: int
    method: str
    name: str = ""
    options: dict[str, Any] = Field(default_factory=dict)
    training: dict[str, Any] = Field(default_factory=dict)
    priority: int = _queue_field("priority")
    pool: str = _queue_field("pool")
    gpus: int = _queue_field("gpus")
    run_after: str | None = _queue_field("run_after")

    @property
    def queue(self) -> dict[str, Any]:
        return {name: getattr(self, name) or QUEUE_FACTS[name].default for name in QUEUE_FACTS}


@jobs.post("", response={201: dict[str, Any]})
def create_job(request: Any, body: NewJob, idempotency_key: Header[str | None] = None) -> Any:
    """Queue a job. 422 names each wrong field. Behind more than 100 others its place is null: ask for the job then."""
    wanted = _wanted(request.auth, body, idempotency_key)
    return Status(201, launched_answer(launch(request.auth.user, wanted)))


@estimates.post("")
def estimate_job(request: Any, body: NewJob) -> dict[str, Any]:
    """Exact counts, memory and time as ranges, and which devices it fits; nothing is queued. Same body as a job.

    `artifact_bytes` are those of the weights, without tokenizer and card; an upper bound where `artifact_at_most`.
    """
    wanted = _wanted(request.auth, body)
    exact = would_be(request.auth.user, wanted)
    told = costs(wanted.team, METHODS[wanted.method], wanted.base_model, wanted.dataset_version, exact)
    return exact.as_json() | told.as_json()


def _wanted(caller: Caller, body: NewJob, idempotency_key: str | None = None) -> Launch:
    """Raises LaunchRefused, naming what does not exist for the caller."""
    model = caller.within(BaseModel.objects.visible_to(caller.user)).filter(pk=body.base_model).first()
    versions = caller.within(DatasetVersion.objects.visible_to(caller.user), "dataset__team").select_related("dataset")
    version = versions.filter(pk=body.dataset_version).first()
    team = caller.team or next(iter(teams_to_work_in(caller.user)), None)
    if model is None or version is None or team is None:
        raise LaunchRefused(_unknown(model, version, team))
    return Launch(
        team=team,
        base_model=model,
        dataset_version=version,
        method=body.method,
        options=body.options,
        training=body.training,
        name=body.name,
        queue=body.queue,
        idempotency_key=idempotency_key,
    )


def _unknown(model: Any, version: Any, team: Any) -> list[FieldProblem]:
    found = {"base_model": model, "dataset_version": version, "team": team}
    return [
        FieldProblem(
            name, f"job.unknown_{name}", f"There is no such {name.replace('_', ' ')} for you.", "See the list."
        )
        for name, each in found.items()
        if each is None
    ]


FILTER_DOCS = {
    "parameters": [{"in": "query", "name": name, "schema": {"type": "string"}, "required": False} for name in FILTERS]
}


@jobs.get("", openapi_extra=FILTER_DOCS)
def list_jobs(request: Any, limit: Whole = 50, cursor: Whole | None = None) -> dict[str, Any]:
    """Jobs of your teams, newest first. `state` may name several, with commas; the other filters take one value."""
    caller: Caller = request.auth
    rows = filtered(visible_jobs(request).for_list(), request.GET)
    viewer = None if caller.team else caller.user
    return page_together(rows, lambda found: job_answers(found, viewer), limit, cursor)


class Ids(Schema):
    ids: Annotated[list[Annotated[int, Field(ge=1, le=2**53)]], Field(min_length=1, max_length=cancelling.AT_MOST)]


@jobs.post("cancel")
def cancel_jobs(request: Any, body: Ids) -> dict[str, Any]:
    """Cancel up to 500 jobs; `items` says of each id what happened to it."""
    done = cancelling.cancel_all(body.ids, visible_jobs(request), request.auth.user)
    return {"items": [asdict(each) for each in done]}


@jobs.get("{int:job_id}")
def get_job(request: Any, job_id: int) -> dict[str, Any]:
    """One job with its spec, progress, results and artifacts."""
    return job_answer_in_full(_job(request, job_id))


class Move(Schema):
    """Where to: any of them; a priority is set before the place."""

    priority: int | None = Field(None, ge=QUEUE_FACTS["priority"].minimum, le=QUEUE_FACTS["priority"].maximum)
    position: int | None = Field(None, ge=1, le=2**31 - 1)
    """Place from 1 among the queued jobs of the same team, pool and priority."""
    before: int | None = Field(None, ge=1, le=2**53)
    after: int | None = Field(None, ge=1, le=2**53)
    """Directly before or after this queued job of the same team, pool and priority."""


@jobs.patch("{int:job_id}")
def move_job(request: Any, job_id: int, body: Move) -> dict[str, Any]:
    """Move a queued job within the queue, as a maintainer; 409 with the state unless it is queued."""
    user, job = request.auth.user, _job(request, job_id)
    places = [name for name in ("position", "before", "after") if getattr(body, name) is not None]
    if len(places) > 1 or (not places and body.priority is None):
        message = "Name a `priority`, and at most one of `position`, `before` and `after`."
        raise LaunchRefused([FieldProblem("position", "job.place", message, "See /api/v1/docs for this call.")])
    with transaction.atomic():
        if body.priority is not None:
            job = reordering.set_priority(job, user, body.priority)
        if body.position is not None:
            reordering.move_to(job, user, body.position)
        elif body.before is not None:
            reordering.move_before(job, _job(request, body.before), user)
        elif body.after is not None:
            reordering.move_after(job, _job(request, body.after), user)
    return job_answer_in_full(_job(request, job_id))


def _acts(action: str) -> Any:
    def call(request: Any, job_id: int) -> dict[str, Any]:
        job = transitions.act(_job(request, job_id), request.auth.user, action)
        return job_answer_in_full(_job(request, job.pk))

    call.__name__ = f"{action}_job"
    call.__doc__ = f"{action.capitalize()} a job; 409 with the current state where that cannot be now."
    return call


for action in transitions.VERBS:
    jobs.post("{int:job_id}/" + action, operation_id=f"{action}_job")(_acts(action))


@jobs.get("{int:job_id}/metrics")
def get_metrics(
    request: Any,
    job_id: int,
    series: str = "",
    points: Whole = 1000,
    smooth: Share = 0.0,
    after: Whole = 0,
    first: Whole = 0,
    last: Whole = 0,
    format: str = "json",
) -> Any:
    """Metric columns, at most `points` buckets a series; `format=csv` gives every raw row and, with `smooth`, both.

    With `last`, the steps from `first` to it get all these buckets, and what lies around them a quarter as many more.
    """
    job = _job(request, job_id)
    names = [name for name in series.split(",") if name] or None
    if format == "csv":
        response = StreamingHttpResponse(metrics.as_csv(job, names, smooth), content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="job-{job.pk}-metrics.csv"'
        return response
    within = (first, last) if last else None
    return metrics.history(job, names, max(2, min(points, 5000)), smooth, after, within) | {"marks": marks(job)}


@jobs.get("{int:job_id}/events")
def get_events(request: Any, job_id: int, after: Whole = 0) -> dict[str, Any]:
    """The live stream's events as an array, for polling. Without `Accept: application/json` it is a stream."""
    messages = messages_after(_job(request, job_id).pk, after)
    return {"items": messages, "next": messages[-1]["n"] if messages else after}


@jobs.get("{int:job_id}/log")
def get_log(request: Any, job_id: int, after: Whole = 0, limit: Whole = 200) -> dict[str, Any]:
    """Log lines after an event number, oldest first."""
    job = _job(request, job_id)
    rows = Event.objects.filter(job=job, kind="log", number__gt=after).select_related("attempt").order_by("number")
    lines = [
        {
            "n": row.number,
            "attempt": row.attempt.number if row.attempt else None,
            "level": row.body.get("level", "info"),
            "text": row.body.get("text", ""),
        }
        for row in rows[: max(1, min(limit, 1000))]
    ]
    return {"items": lines, "next": lines[-1]["n"] if lines else after}


# ---- Workers ------------------------------------------------------------------------------------


@workers.get("")
def list_workers(request: Any) -> dict[str, Any]:
    """Workers that may run your jobs, with their devices and load."""
    rows = request.auth.within(Worker.objects.visible_to(request.auth.user))
    return {"items": [_worker_answer(request, worker) for worker in rows], "next": None}


def _worker_answer(request: Any, worker: Worker) -> dict[str, Any]:
    return worker_answer(worker, visible_jobs(request), _manages(request.auth, worker))


def _manages(caller: Caller, worker: Worker) -> bool:
    own = caller.team is None or caller.team == worker.team
    return own and may(caller.user, worker.team_id, Role.MAINTAINER)


class Draining(Schema):
    drain: bool


def _worker(request: Any, worker_id: int) -> Worker:
    """To be changed: what belongs to every team is out of a token's reach, whoever made it."""
    worker: Worker = get_object_or_404(request.auth.within(Worker.objects.visible_to(request.auth.user)), pk=worker_id)
    if request.auth.team and worker.team_id is None:
        raise HttpError(403, "This token reaches one team, and the worker is every team's. Manage it in a browser.")
    return worker


@workers.patch("{int:worker_id}")
def patch_worker(request: Any, worker_id: int, body: Draining) -> dict[str, Any]:
    """Drain a worker (it finishes what it has and takes no more), or let it take jobs again."""
    worker = _worker(request, worker_id)
    enrolling.drain(worker, request.auth.user, body.drain)
    return _worker_answer(request, worker)


@workers.delete("{int:worker_id}", response={204: None})
def remove_worker(request: Any, worker_id: int) -> Any:
    """Remove a worker: its token dies, its jobs go back to the queue from their newest checkpoint."""
    enrolling.remove(_worker(request, worker_id), request.auth.user)
    return Status(204, None)
