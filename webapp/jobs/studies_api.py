"""Studies in the public API: start, look, add, pause, resume, cancel, and every number of the comparison."""

from __future__ import annotations

import csv
import io
from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from ninja import Field, Router, Schema, Status

from webapp.accounts.auth import Caller
from webapp.accounts.permissions import teams_to_work_in
from webapp.basemodels.models import BaseModel
from webapp.datasets.models import DatasetVersion
from webapp.datasets.problem_list import harmless
from webapp.jobs import comparing, efficiency, studying
from webapp.jobs.models import Study
from webapp.jobs.refusing import FieldProblem, LaunchRefused
from webapp.jobs.studying import Arm, StudyWish
from webapp.paging import Whole, page

studies = Router(tags=["studies"])


class Wanted(Schema):
    """One method in one or several sizes."""

    method: str = Field(max_length=60)
    sizes: list[int] = Field(default_factory=list, max_length=studying.JOBS_AT_MOST)
    options: dict[str, Any] = Field(default_factory=dict)


class More(Schema):
    methods: list[Wanted] = Field(min_length=1, max_length=studying.JOBS_AT_MOST)
    seeds: list[int] = Field(default_factory=lambda: [17], min_length=1, max_length=studying.JOBS_AT_MOST)

    @property
    def arms(self) -> tuple[Arm, ...]:
        return tuple(Arm(each.method, tuple(each.sizes), each.options) for each in self.methods)


class NewStudy(More):
    base_model: int
    dataset_version: int
    training: dict[str, Any] = Field(default_factory=dict)
    """The budget that all jobs share."""
    name: str = Field("", max_length=120)


def _visible(request: Any) -> Any:
    caller: Caller = request.auth
    rows = Study.objects.visible_to(caller.user).select_related("team", "base_model", "dataset_version__dataset")
    return rows.filter(team=caller.team) if caller.team else rows


def _study(request: Any, study_id: int) -> Study:
    found: Study = get_object_or_404(_visible(request), pk=study_id)
    return found


@studies.get("")
def list_studies(request: Any, limit: Whole = 50, cursor: Whole | None = None) -> dict[str, Any]:
    """Studies of your teams, newest first."""
    return page(_visible(request), _briefly, limit, cursor)


@studies.post("", response={201: dict[str, Any]})
def create_study(request: Any, body: NewStudy) -> Any:
    """Queue all jobs of a study, or none. 422 names each wrong field."""
    caller: Caller = request.auth
    model = caller.within(BaseModel.objects.visible_to(caller.user)).filter(pk=body.base_model).first()
    versions = caller.within(DatasetVersion.objects.visible_to(caller.user), "dataset__team").select_related("dataset")
    version = versions.filter(pk=body.dataset_version).first()
    team = caller.team or next(iter(teams_to_work_in(caller.user)), None)
    if model is None or version is None or team is None:
        found = {"base_model": model, "dataset_version": version, "team": team}
        raise LaunchRefused(
            [
                FieldProblem(name, f"study.unknown_{name}", f"There is no such {name} for you.", "See the list.")
                for name, each in found.items()
                if each is None
            ]
        )
    wish = StudyWish(team, model, version, body.arms, tuple(body.seeds), body.training, body.name)
    return Status(201, _in_full(studying.start(caller.user, wish)))


@studies.get("{int:study_id}")
def get_study(request: Any, study_id: int, format: str = "json") -> Any:
    """A study with its progress and, for each method and size, scores with intervals and costs; `format=csv` too."""
    study = _study(request, study_id)
    if format != "csv":
        return _in_full(study)
    response = HttpResponse(_as_csv(study), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="study-{study.pk}.csv"'
    return response


COLUMNS = ("title", "method", "size", "family", "finished", "metric", "trained_percent")
COSTS = (
    "peak_memory_bytes",
    "artifact_bytes",
    "seconds",
    "tokens",
    "kwh",
    "delta_slowdown",
    "merged_slowdown",
)


def _as_csv(study: Study) -> str:
    """A line for each method and size, with the numbers of the comparison at full precision."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow([*COLUMNS, "score", "score_low", "score_high", "n", *COSTS])
    for group in comparing.groups_of(list(study.jobs.prefetch_related("artifacts"))):
        told = group_answer(group)
        score = told["score"] or {}
        numbers = [score.get(name) for name in ("mean", "low", "high", "n")]
        cells = [*(told[name] for name in COLUMNS), *numbers, *(told[name] for name in COSTS)]
        writer.writerow([harmless(cell) for cell in cells])
    return buffer.getvalue()


@studies.post("{int:study_id}/jobs", response={201: dict[str, Any]})
def add_to_study(request: Any, study_id: int, body: More) -> Any:
    """Further methods, sizes or seeds, with the budget that the study began with."""
    study = _study(request, study_id)
    studying.add(request.auth.user, study, body.arms, body.seeds, {})
    return Status(201, _in_full(study))


def _acts(action: str) -> Any:
    def call(request: Any, study_id: int) -> dict[str, Any]:
        study = _study(request, study_id)
        studying.act(study, request.auth.user, action)
        return _in_full(study)

    call.__name__ = f"{action}_study"
    call.__doc__ = f"{action.capitalize()} every job of a study that can now be."
    return call


for action in ("pause", "resume", "cancel"):
    studies.post("{int:study_id}/" + action, operation_id=f"{action}_study")(_acts(action))


def _briefly(study: Study) -> dict[str, Any]:
    return {
        "id": study.pk,
        "name": study.name,
        "team": study.team.slug,
        "base_model": study.base_model_id,
        "dataset_version": study.dataset_version_id,
        "training": study.training,
        "created_at": study.created_at,
    }


def _in_full(study: Study) -> dict[str, Any]:
    jobs = list(study.jobs.prefetch_related("artifacts"))
    progress = studying.progress(jobs)
    groups = comparing.groups_of(jobs)
    return _briefly(study) | {
        "jobs": [{"id": job.pk, "name": job.name, "state": job.state} for job in jobs],
        "progress": {"share": progress.share, "seconds_left": progress.seconds_left, "states": dict(progress.counts)},
        "groups": [group_answer(group) for group in groups],
        "differences": [{"field": each.field, "spoils": each.purposes} for each in comparing.differences(jobs)],
        "d90": efficiency.d90(groups).sentence,
    }


def group_answer(group: comparing.Group) -> dict[str, Any]:
    """One row of the comparison."""
    score = group.scores
    return {
        "method": group.method,
        "size": group.size,
        "title": group.title,
        "family": group.family,
        "jobs": [job.pk for job in group.jobs],
        "finished": len(group.finished),
        "metric": group.metric or None,
        "score": {"mean": score.mean, "low": score.low, "high": score.high, "n": score.n} if score else None,
        "trained_percent": group.trained_percent,
        "peak_memory_bytes": group.memory_bytes,
        "artifact_bytes": group.artifact_bytes,
        "seconds": group.seconds,
        "tokens": group.tokens,
        "kwh": group.kwh,
        "delta_slowdown": group.delta_slowdown,
        "merged_slowdown": group.merged_slowdown,
    }
