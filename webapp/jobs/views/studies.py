"""Studies: the list, the one form that starts them, and one study as a whole. Comparing itself is comparison.py's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count, Q
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from webapp.accounts.context import current_team, signed_in
from webapp.accounts.models import Role
from webapp.accounts.permissions import may
from webapp.basemodels.models import BaseModel
from webapp.datasets.models import DatasetVersion
from webapp.errors import problem, shows_refusals
from webapp.jobs import studying
from webapp.jobs.efficiency import FULL
from webapp.jobs.launching import pairing
from webapp.jobs.models import ENDED, Study
from webapp.jobs.refusing import FieldProblem, LaunchRefused
from webapp.jobs.studying import Arm, StudyWish
from webapp.jobs.views.comparison import comparison
from workers.methods import METHODS
from workers.methods.method import Method

PAGE_SIZE = 50
SHOWN_AT_MOST = 100
BUDGET = {"epochs": float, "max_steps": int, "batch_size": int, "max_length": int}
"""Fields of the common budget, and how their text is read."""
LABELS = {
    "epochs": "Epochs",
    "max_steps": "Most steps",
    "batch_size": "Batch size",
    "max_length": "Longest row, tokens",
}
SAID = {"pause": "paused", "resume": "resumed", "cancel": "cancelled"}


def study_list(request: HttpRequest) -> HttpResponse:
    rows = Study.objects.visible_to(signed_in(request)).filter(team=current_team(request))
    rows = rows.select_related("base_model", "dataset_version__dataset", "created_by")
    ended = Count("jobs", filter=Q(jobs__state__in=ENDED))
    rows = rows.annotate(jobs_count=Count("jobs"), ended_count=ended).order_by("-id")
    return render(
        request, "studies/list.html", {"page_of": Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page"))}
    )


def study(request: HttpRequest, study_id: int) -> HttpResponse:
    """Its progress as a whole, and its jobs side by side."""
    found = _study(request, study_id)
    jobs = list(
        found.jobs.select_related("base_model", "dataset_version__dataset", "team").prefetch_related("artifacts")
    )
    user = signed_in(request)
    context = comparison(request, jobs) | {
        "study": found,
        "progress": studying.progress(jobs),
        "has_full": any(job.method == FULL and not job.ended for job in jobs),
        "study_seeds": ",".join(map(str, dict.fromkeys(job.spec["training"]["seed"] for job in jobs))),
        "may_act": may(user, found.team_id, Role.MEMBER),
        "methods": _method_rows(found.base_model, found.dataset_version, QueryDict()),
        "study_actions": [("pause", "Pause all"), ("resume", "Resume all"), ("cancel", "Cancel all")],
    }
    return render(request, "studies/study.html", context)


def _study(request: HttpRequest, study_id: int) -> Study:
    rows = Study.objects.visible_to(signed_in(request))
    return get_object_or_404(rows.select_related("team", "base_model", "dataset_version__dataset"), pk=study_id)


# ---- The form ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MethodRow:
    """One method in the form: whether it can work, whether it is chosen, its sizes as typed."""

    method: Method
    size_name: str
    own_size: Any
    chosen: bool
    sizes: str
    why: str


@shows_refusals
def new(request: HttpRequest) -> HttpResponse:
    if request.method == "POST":
        return _start(request)
    return _form(request, request.GET, [])


def _start(request: HttpRequest) -> HttpResponse:
    data, team = request.POST, current_team(request)
    model, version = _chosen(request, data)
    problems: list[FieldProblem] = []
    for name, found in (("base_model", model), ("dataset_version", version)):
        if found is None:
            words = name.replace("_", " ")
            problems.append(FieldProblem(name, f"study.no_{name}", f"No {words} is chosen.", "Choose one of the list."))
    wanted = _read(data, problems)
    if problems or model is None or version is None or team is None:
        return _form(request, data, problems, 422)
    arms, seeds, budget = wanted
    try:
        wish = StudyWish(team, model, version, arms, seeds, budget, data.get("name", ""))
        return redirect(studying.start(signed_in(request), wish))
    except LaunchRefused as error:
        return _form(request, data, error.problems, 422)


def _read(data: QueryDict, problems: list[FieldProblem]) -> tuple[tuple[Arm, ...], tuple[int, ...], dict[str, Any]]:
    """Methods with sizes, seeds, budget; what cannot be read goes to `problems`."""
    arms = tuple(
        Arm(name, _whole_numbers(data.get(f"sizes.{name}", ""), f"sizes.{name}", problems))
        for name in data.getlist("methods")
    )
    budget: dict[str, Any] = {}
    for name, read in BUDGET.items():
        text = data.get(f"training.{name}", "").replace(",", "").strip()
        if text:
            try:
                budget[name] = read(text)
            except ValueError:
                message = f"`{text[:40]}` is no number."
                problems.append(FieldProblem(f"training.{name}", "study.number", message, "Write it in digits."))
    return arms, _whole_numbers(data.get("seeds", ""), "seeds", problems), budget


def _whole_numbers(text: str, field: str, problems: list[FieldProblem]) -> tuple[int, ...]:
    parts = [part for part in re.split(r"[,\s]+", text) if part]
    if any(not (part.isascii() and part.isdigit() and len(part) < 11) for part in parts):
        message = f"`{text[:60]}` is not a list of whole numbers."
        problems.append(FieldProblem(field, "study.numbers", message, "Write them with commas: 4, 8, 16."))
        return ()
    return tuple(int(part) for part in parts)


def _chosen(request: HttpRequest, data: QueryDict) -> tuple[BaseModel | None, DatasetVersion | None]:
    model = next((each for each in _models(request) if str(each.pk) == data.get("base_model")), None)
    version = next((each for each in _versions(request) if str(each.pk) == data.get("dataset_version")), None)
    return model, version


def _models(request: HttpRequest) -> list[BaseModel]:
    return list(BaseModel.objects.visible_to(signed_in(request)).ready()[:SHOWN_AT_MOST])


def _versions(request: HttpRequest) -> list[DatasetVersion]:
    rows = DatasetVersion.objects.visible_to(signed_in(request)).ready().select_related("dataset")
    return list(rows.defer("preview", "problems").order_by("-id")[:SHOWN_AT_MOST])


def _form(request: HttpRequest, data: QueryDict, problems: list[FieldProblem], status: int = 200) -> HttpResponse:
    model, version = _chosen(request, data)
    models, versions = _models(request), _versions(request)
    version = version or next(iter(versions), None)
    able = [each for each in models if version is None or version.task in each.tasks]
    model = model or next(iter(able or models), None)
    small = data.get("suggested") == "1"
    own = {"max_steps": str(studying.SUGGESTED_STEPS)} if small else {}
    rows = _method_rows(model, version, data, small)
    context = {
        "models": models,
        "versions": versions,
        "model": model,
        "version": version,
        "methods": rows,
        "budget": [(name, LABELS[name], data.get(f"training.{name}", own.get(name, ""))) for name in BUDGET],
        "seeds": data.get("seeds", "17"),
        "name": data.get("name", ""),
        "problems": problems,
        "count": _count(rows, data.get("seeds", "17")),
        "may_start": may(signed_in(request), team.pk, Role.MEMBER) if (team := current_team(request)) else False,
    }
    return render(request, "studies/new.html", context, status=status)


def _method_rows(
    model: BaseModel | None, version: DatasetVersion | None, data: QueryDict, everything: bool = False
) -> list[MethodRow]:
    rows = []
    for method in METHODS.values():
        why = (pairing(model, version, method.name) or "") if model and version else ""
        option = studying.size_option(method)
        own = getattr(method.options(), option) if option else ""
        chosen = method.name in data.getlist("methods") or (everything and not why)
        rows.append(MethodRow(method, option or "", own, chosen, data.get(f"sizes.{method.name}", ""), why))
    return rows


def _count(rows: list[MethodRow], seeds: str) -> str:
    """ "3 methods x 2 seeds = 6 jobs", as far as it can be read."""
    ignored: list[FieldProblem] = []
    repeats = len(dict.fromkeys(_whole_numbers(seeds, "seeds", ignored)))
    settings = sum(max(1, len(dict.fromkeys(_whole_numbers(row.sizes, "", ignored)))) for row in rows if row.chosen)
    return f"{settings} settings x {repeats} seeds = {settings * repeats} jobs" if settings and repeats else ""


# ---- As a whole ----------------------------------------------------------------------------------


@require_POST
@shows_refusals
def act(request: HttpRequest, study_id: int, action: str) -> HttpResponse:
    """Pause, resume or cancel all of its jobs that can be."""
    if action not in SAID:
        raise Http404
    found = _study(request, study_id)
    acted = studying.act(found, signed_in(request), action)
    words = f"{acted.done} job{'' if acted.done == 1 else 's'} {SAID[action]}."
    rest = f" {acted.refused} had just changed; look again." if acted.refused else ""
    (messages.success if acted.done else messages.info)(request, words + rest)
    return redirect(found)


@require_POST
@shows_refusals
def add(request: HttpRequest, study_id: int) -> HttpResponse:
    """Further methods, sizes or seeds, with the same budget."""
    found, problems = _study(request, study_id), list[FieldProblem]()
    arms, seeds, _ = _read(request.POST, problems)
    try:
        if problems:
            raise LaunchRefused(problems)
        jobs = studying.add(signed_in(request), found, arms, seeds, {})
    except LaunchRefused as error:
        return problem(request, 422, "Nothing was added", str(error), error.problems[0].hint)
    messages.success(request, f"{len(jobs)} job{'' if len(jobs) == 1 else 's'} added.")
    return redirect(found)
