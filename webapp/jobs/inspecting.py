"""Questions that only a worker can answer: asked as rows, answered once, and what the answer changes here."""

from __future__ import annotations

import json
from typing import Any, get_args

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from webapp import clock
from webapp.basemodels.models import BaseModel, BaseModelState, Source
from webapp.basemodels.registering import refuse
from webapp.datasets.models import Dataset, DatasetVersion
from webapp.datasets.uploading import version_from_stored
from webapp.jobs.handing_in import FileList, base_model_files, listed, require_whole
from webapp.jobs.log_text import plain
from webapp.jobs.models import Artifact, Inspection, Worker
from webapp.jobs.permits import permit_on_commit
from webapp.jobs.reported import BadReport, check_parity
from webapp.jobs.reported_tokens import TokenReport, check_report
from webapp.jobs.starter_catalogue import ENTRIES, Entry
from workers.methods.shape import Shape
from workers.protocol import Task

TRIES_AT_MOST = 3
WEIGHTS = ".safetensors"
WORDS = 2000
"""Characters of a worker's sentence."""


def ask_about(model: BaseModel) -> Inspection:
    """Ask a worker to fetch (hub) or look at (folder) a base model that is being checked."""
    if model.source == Source.HUB:
        question = {"kind": "hub_base_model", "hub_id": model.hub_id, "revision": model.revision}
        return ask(question, base_model=model, asked_by=model.created_by)
    small = [file for file in base_model_files(model) if not file["name"].endswith(WEIGHTS)]
    return ask({"kind": "base_model_shape"}, base_model=model, files=small, asked_by=model.created_by)


def ask(question: dict[str, Any], **fields: Any) -> Inspection:
    inspection = Inspection.objects.create(question=question, **fields)
    permit_on_commit(inspection.pool)
    return inspection


def has_worker(inspection: Inspection) -> bool:
    """Whether a worker that may answer it is there."""
    workers = Worker.objects.filter(pool=inspection.pool, revoked_at=None)
    return any(worker.serving and worker.team_id in (None, inspection.team_id) for worker in workers)


def progress(inspection: Inspection, text: str, fraction: float | None) -> None:
    """Heartbeat: prolong the lease, note the progress."""
    until = clock.in_seconds(settings.TIMINGS.lease_seconds)
    Inspection.objects.filter(pk=inspection.pk, state=Inspection.State.RUNNING).update(
        lease_until=until,
        progress_text=text[:200] or inspection.progress_text,
        progress_fraction=None if fraction is None else min(1.0, max(0.0, fraction)),
    )
    if inspection.base_model_id and text and inspection.is_about_base_model:
        BaseModel.objects.filter(pk=inspection.base_model_id).update(progress=text[:200])


def give_back(inspection: Inspection) -> None:
    """Its worker is gone: back to the queue, or failed after three tries."""
    with transaction.atomic():
        running = Inspection.objects.filter(pk=inspection.pk, state=Inspection.State.RUNNING)
        if inspection.tries < TRIES_AT_MOST:
            if running.update(state=Inspection.State.QUEUED, worker=None, token_prefix=None):
                permit_on_commit(inspection.pool)
            return
    problem = {
        "code": "inspection.worker_lost",
        "message": f"The worker stopped answering {inspection.tries} times while looking at this.",
        "hint": "Look at the worker's memory and log, then try again.",
    }
    finish(inspection, None, [], problem)


def finish(
    inspection: Inspection, answer: dict[str, Any] | None, files: FileList, problem: dict[str, Any] | None
) -> Inspection:
    """Store the answer or the problem, and carry it over to what was asked about."""
    problem = _in_words(problem or {}) if answer is None else None
    with transaction.atomic():
        running = Inspection.objects.filter(pk=inspection.pk, state=Inspection.State.RUNNING)
        state = Inspection.State.FAILED if answer is None else Inspection.State.ANSWERED
        ended = {"state": state, "answer": answer, "problem": problem, "ended_at": clock.now()}
        if running.update(**ended) == 0:
            inspection.refresh_from_db()
            return inspection
        inspection.refresh_from_db()
        if answer is None:
            _failed(inspection, problem or {})
        else:
            _answered(inspection, answer, listed(inspection, files))
    return inspection


def _in_words(problem: dict[str, Any]) -> dict[str, Any]:
    """A problem as pages read it, whatever the worker said."""
    return {name: plain(str(problem.get(name, "")))[:WORDS] for name in ("code", "message", "hint")}


def _failed(inspection: Inspection, problem: dict[str, Any]) -> None:
    if inspection.base_model and inspection.is_about_base_model:
        refuse(inspection.base_model, problem)


def _answered(inspection: Inspection, answer: dict[str, Any], files: FileList) -> None:
    match inspection.question["kind"]:
        case "base_model_shape":
            assert inspection.base_model is not None
            _accept_base_model(inspection.base_model, answer, inspection.base_model.files)
        case "hub_base_model":
            assert inspection.base_model is not None
            _accept_base_model(inspection.base_model, answer, files)
        case "starter_base_model":
            _add_starter_base_model(ENTRIES[inspection.starter], answer, files)
        case "starter_dataset":
            _add_starter_dataset(ENTRIES[inspection.starter], answer, files)
        case "token_report":
            assert inspection.dataset_version is not None
            assert inspection.base_model is not None
            _note_tokens(inspection, inspection.dataset_version, inspection.base_model, check_report(answer))
        case "merged_model":
            assert inspection.artifact is not None
            _list_merged(inspection.artifact, answer, files)


def _accept_base_model(model: BaseModel, facts: dict[str, Any], files: FileList) -> None:
    """The facts a worker read off the model. Raises BadReport where they do not fit."""
    try:
        shape = Shape.from_json(facts["shape"])
    except (KeyError, TypeError) as error:
        raise BadReport("The shape in the answer is not complete.") from error
    told = facts.get("tasks")
    tasks = [task for task in get_args(Task) if isinstance(told, list) and task in told]
    model.state = BaseModelState.READY
    model.architecture = str(facts.get("architecture", ""))[:80]
    model.model_type = shape.model_type[:40]
    model.parameters = shape.parameters
    model.dtype = str(facts.get("dtype", ""))[:12]
    model.tasks = tasks
    model.chat_template = bool(facts.get("chat_template"))
    model.licence = model.licence or str(facts.get("licence") or "")[:120]
    model.shape = json.loads(json.dumps(shape.as_json()))
    model.revision = model.revision or str(facts.get("revision") or "")[:80]
    model.files = files
    model.bytes = sum(file["bytes"] for file in files)
    model.progress = ""
    model.problem = None
    model.save()


def _note_tokens(asked: Inspection, version: DatasetVersion, model: BaseModel, report: TokenReport) -> None:
    """In brief beside the dataset version, as long as its rows are those that were read.

    Not beside every team's version where the base model is one team's own.
    """
    if version.dataset.team_id is None and model.team_id is not None:
        return
    read = asked.question.get("rows_sha256", "")
    same = DatasetVersion.objects.filter(Q(sha256=read) | Q(sample__sha256=read), pk=version.pk)
    same.update(token_stats=report.noted(model.name))


def _list_merged(delta: Artifact, answer: dict[str, Any], files: FileList) -> None:
    """The merged model stands beside the delta. Raises BadReport."""
    manifest = answer.get("manifest")
    if not isinstance(manifest, dict):
        raise BadReport("The answer has no manifest of the merged model.")
    require_whole(files, manifest)
    check_parity(manifest)
    found = {"bytes": sum(file["bytes"] for file in files), "files": files, "manifest": manifest}
    named = {"job": delta.job, "attempt": delta.attempt, "kind": Artifact.Kind.MERGED}
    Artifact.objects.filter(**named).exclude(damaged_at=None).delete()
    Artifact.objects.get_or_create(**named, defaults=found)


def _add_starter_base_model(entry: Entry, facts: dict[str, Any], files: FileList) -> None:
    if BaseModel.objects.filter(team=None, starter=entry.name).exists():
        return
    model = BaseModel(
        name=entry.title.partition(" (")[0],
        source=Source.STARTER,
        starter=entry.name,
        revision=entry.version,
        licence=entry.licence,
    )
    _accept_base_model(model, facts, files)


def _add_starter_dataset(entry: Entry, answer: dict[str, Any], files: FileList) -> None:
    """The converted rows go through the same check as any upload."""
    if Dataset.objects.filter(team=None, starter=entry.name).exists():
        return
    rows = next((file for file in files if file["name"] == "rows.jsonl"), None)
    if rows is None:
        raise BadReport("The converter left no rows.jsonl.")
    dataset = Dataset.objects.create(name=entry.name, starter=entry.name, licence=entry.licence)
    asked = {"task": answer.get("task"), "split": {"kind": "column", "column": "split"}}
    version_from_stored(None, dataset, rows["key"], rows["bytes"], f"{entry.name}.jsonl", asked)
