"""The new-job page: three choices, the chosen method's options, what it will train, and Start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render

from webapp.accounts.context import current_team, signed_in
from webapp.accounts.models import Role, Team
from webapp.accounts.permissions import may
from webapp.basemodels.models import BaseModel
from webapp.datasets.models import DatasetVersion
from webapp.errors import shows_refusals
from webapp.jobs import doctor, would_start
from webapp.jobs.costs import costs
from webapp.jobs.estimating import estimate, resolved_or_none
from webapp.jobs.fair_share import FAIR_SHARE
from webapp.jobs.forms import absent_kinds, all_groups, sent
from webapp.jobs.launching import Launch, launch, pairing
from webapp.jobs.models import Job
from webapp.jobs.queue_options import QueueOptions
from webapp.jobs.refusing import FieldProblem, LaunchRefused
from webapp.jobs.views.methods import by_family
from workers.methods import METHODS
from workers.methods.hyperparameters import Training
from workers.methods.method import Method
from workers.methods.options import OptionsError

SHOWN_AT_MOST = 100
NOTHING_SET: dict[str, Any] = {}


@dataclass(frozen=True)
class Choice:
    """One card of a choice, and why it does not go with the other two."""

    row: Any
    chosen: bool
    why: str | None


@dataclass(frozen=True)
class Chosen:
    """The three choices so far; a method always is, the others may be missing."""

    base_model: BaseModel | None
    version: DatasetVersion | None
    method: Method


@shows_refusals
def new(request: HttpRequest) -> HttpResponse:
    """GET draws the form from its address, also while it is filled in; POST queues the job."""
    if request.method == "POST":
        return _start(request)
    if "clone" in request.GET:
        return _clone(request)
    return _form(request, request.GET, [])


def _clone(request: HttpRequest) -> HttpResponse:
    """The form with an earlier job's settings, and with the change that its failure suggests, if asked for."""
    asked = request.GET["clone"]
    seen = Job.objects.visible_to(signed_in(request)).select_related("base_model", "dataset_version")
    job = get_object_or_404(seen, pk=int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 19 else 0)
    fix, change = request.GET.get("fix", ""), doctor.change_for(job)
    changed = change.label if change and change.name == fix else ""
    return _form(request, doctor.clone_of(job, fix), [], cloned={"job": job, "changed": changed})


def _start(request: HttpRequest) -> HttpResponse:
    user, team = signed_in(request), current_team(request)
    chosen = _chosen(request, request.POST)
    if chosen.base_model is None or chosen.version is None or team is None:
        return _form(request, request.POST, _missing(chosen), 422)
    wanted = Launch(
        team=team,
        base_model=chosen.base_model,
        dataset_version=chosen.version,
        method=chosen.method.name,
        options=sent(request.POST, "options", chosen.method.options, absent_kinds(chosen.base_model)),
        training=sent(request.POST, "training", Training),
        queue=sent(request.POST, "queue", QueueOptions),
        name=request.POST.get("name", ""),
        idempotency_key=request.POST.get("key") or None,
    )
    try:
        return redirect("jobs:detail", launch(user, wanted).pk)
    except LaunchRefused as error:
        return _form(request, request.POST, error.problems, 422)


def _missing(chosen: Chosen) -> list[FieldProblem]:
    problems = []
    if chosen.base_model is None:
        hint = "Choose one of the list, or add one on the Models page."
        problems.append(FieldProblem("base_model", "job.no_base_model", "No base model is chosen.", hint))
    if chosen.version is None:
        hint = "Choose one of the list, or upload a file on the Datasets page."
        problems.append(FieldProblem("dataset_version", "job.no_dataset", "No dataset is chosen.", hint))
    return problems


def _models(request: HttpRequest) -> list[BaseModel]:
    return list(BaseModel.objects.visible_to(signed_in(request)).ready()[:SHOWN_AT_MOST])


def _versions(request: HttpRequest, asked: str) -> list[DatasetVersion]:
    """The newest ready version of each dataset, and the one that was asked for."""
    rows = DatasetVersion.objects.visible_to(signed_in(request)).ready().select_related("dataset")
    newest: dict[int, DatasetVersion] = {}
    for version in rows.defer("preview", "problems").order_by("-number", "-id")[: 5 * SHOWN_AT_MOST]:
        if str(version.pk) == asked or version.dataset_id not in newest:
            newest[version.dataset_id] = version
    return sorted(newest.values(), key=lambda version: -version.pk)[:SHOWN_AT_MOST]


def _chosen(request: HttpRequest, data: QueryDict) -> Chosen:
    """What was sent, else what goes together best: the newest dataset and the first base model that can do it."""
    models, versions = _models(request), _versions(request, data.get("dataset_version", ""))
    method = METHODS.get(data.get("method", "")) or next(iter(METHODS.values()))
    version = next((each for each in versions if str(each.pk) == data.get("dataset_version")), None)
    model = next((each for each in models if str(each.pk) == data.get("base_model")), None)
    if "method" not in data:
        fitting = [each for each in versions if model is None or each.task in model.tasks]
        version = version or next(iter(fitting or versions), None)
        able = [each for each in models if version is None or version.task in each.tasks]
        model = model or next(iter(able or models), None)
    return Chosen(model, version, method)


def _form(
    request: HttpRequest,
    data: QueryDict,
    problems: list[FieldProblem],
    status: int = 200,
    cloned: dict[str, Any] | None = None,
) -> HttpResponse:
    chosen, team = _chosen(request, data), current_team(request)
    if request.headers.get("HX-Target") == "estimate":  # while somebody types: the card alone, at once
        return render(request, "jobs/_estimate.html", {"chosen": chosen, **_told_before(request, chosen, data, team)})
    own = _own_values(chosen)
    context = {
        "chosen": chosen,
        "choices": _choices(request, chosen, data),
        "families": _families(chosen),
        "problems": problems,
        "cloned": cloned,
        **_told_before(request, chosen, data, team),
        "fair_share": FAIR_SHARE,
        "name": data.get("name", ""),
        "may_start": team is not None and may(signed_in(request), team.pk, Role.MEMBER),
        **all_groups(chosen.method, data, own, problems, absent_kinds(chosen.base_model)),
    }
    return render(request, "jobs/new.html", context, status=status)


def _choices(request: HttpRequest, chosen: Chosen, data: QueryDict) -> dict[str, list[Choice]]:
    model, version, method = chosen.base_model, chosen.version, chosen.method
    return {
        "base_model": [
            Choice(each, each == model, pairing(each, version, method.name) if version else None)
            for each in _models(request)
        ],
        "dataset_version": [
            Choice(each, each == version, pairing(model, each, method.name) if model else None)
            for each in _versions(request, data.get("dataset_version", ""))
        ],
    }


def _families(chosen: Chosen) -> list[tuple[str, list[Choice]]]:
    """The methods by family. None is called unfit while base model and dataset do not fit each other."""
    model, version = chosen.base_model, chosen.version
    fit = model is not None and version is not None and version.task in model.tasks

    def choice(method: Method) -> Choice:
        why = pairing(model, version, method.name) if fit and model and version else None
        return Choice(method, method == chosen.method, why)

    return [(words, [choice(each) for each in methods]) for words, methods in by_family()]


def _own_values(chosen: Chosen) -> tuple[dict[str, Any], dict[str, Any]]:
    """What applies where nothing is typed, for this base model, dataset and method."""
    resolved = resolved_or_none(chosen.method, chosen.base_model, chosen.version, NOTHING_SET, NOTHING_SET)
    return (resolved["options"], resolved["training"]) if resolved else (NOTHING_SET, NOTHING_SET)


def _told_before(request: HttpRequest, chosen: Chosen, data: QueryDict, team: Team | None) -> dict[str, Any]:
    """The estimate card: exact counts, then ranges, then when; empty while something is missing or out of its range."""
    resolved = _resolved(chosen, data)
    if resolved is None or chosen.base_model is None or chosen.version is None:
        return {"estimate": None}
    chosen_three = chosen.method, chosen.base_model, chosen.version
    exact = estimate(*chosen_three, resolved)
    told = {"estimate": exact, "costs": costs(team, *chosen_three, exact)}
    try:
        queue = QueueOptions.from_json(sent(data, "queue", QueueOptions))
    except OptionsError:
        return told
    in_seconds = would_start.seconds_until(signed_in(request), team, *chosen_three, resolved, queue) if team else None
    return told | {"starts_in_seconds": in_seconds}


def _resolved(chosen: Chosen, data: QueryDict) -> dict[str, Any] | None:
    options = sent(data, "options", chosen.method.options, absent_kinds(chosen.base_model))
    training = sent(data, "training", Training)
    return resolved_or_none(chosen.method, chosen.base_model, chosen.version, options, training)
