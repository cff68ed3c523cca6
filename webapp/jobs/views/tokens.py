"""A dataset version as a base model's tokenizer sees it: token lengths, what is cut, rows with their loss mask."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import urlencode

from webapp.accounts.context import signed_in
from webapp.basemodels.models import BaseModel
from webapp.datasets.models import DatasetVersion
from webapp.errors import shows_refusals
from webapp.jobs.inspecting import has_worker
from webapp.jobs.models import Inspection
from webapp.jobs.refusing import FieldProblem, LaunchRefused
from webapp.jobs.reported_tokens import TokenReport
from webapp.jobs.token_figure import lengths_figure
from webapp.jobs.token_reports import ask_for, asked, newest


@shows_refusals
def tokens(request: HttpRequest, dataset_id: int, number: int) -> HttpResponse:
    """GET: the report, or how far it is, for polling. POST: ask a worker for it."""
    versions = DatasetVersion.objects.visible_to(signed_in(request)).ready().select_related("dataset__team")
    version = get_object_or_404(versions, dataset_id=dataset_id, number=number)
    given = request.POST if request.method == "POST" else request.GET
    models = _models(request, version)
    model = _chosen(models, given.get("base_model", ""))
    context: dict[str, Any] = {"version": version, "dataset": version.dataset, "models": models, "base_model": model}
    if not models:
        return render(request, "jobs/tokens.html", context)
    try:
        if model is None:
            hint = "Choose one of the list."
            message = "This base model is not there, or does not go with the dataset."
            raise LaunchRefused([FieldProblem("base_model", "tokens.base_model", message, hint)])
        wanted = asked(version, model, _length(given.get("max_length", "")))
        if request.method == "POST":
            ask_for(signed_in(request), wanted)
            address = reverse("jobs:tokens", args=[dataset_id, number])
            return redirect(f"{address}?{urlencode({'base_model': model.pk, 'max_length': wanted.max_length})}")
    except LaunchRefused as error:
        context |= {"problems": error.problems, "max_length": given.get("max_length")}
        return render(request, "jobs/tokens.html", context, status=422)
    context |= {"max_length": wanted.max_length, **_report(newest(wanted))}
    if not request.headers.get("HX-Request"):
        return render(request, "jobs/tokens.html", context)
    answer = render(request, "jobs/_tokens.html", context)
    if "report" in context:
        answer["HX-Refresh"] = "true"  # a fragment brings no figure with it: the whole page does
    return answer


def _models(request: HttpRequest, version: DatasetVersion) -> list[BaseModel]:
    """Those of the dataset's team and the shared ones that can do its task, as far as the person sees them."""
    visible = BaseModel.objects.visible_to(signed_in(request)).ready()
    teams = {version.dataset.team_id, None} if version.dataset.team_id else None
    return [
        each
        for each in visible.order_by("name", "pk")
        if version.task in each.tasks and (teams is None or each.team_id in teams)
    ]


def _chosen(models: list[BaseModel], asked: str) -> BaseModel | None:
    return next((each for each in models if str(each.pk) == asked or not asked), None)


def _length(text: str) -> int | None:
    """None where none is given. Raises LaunchRefused for what is no whole number."""
    if not text:
        return None
    if text.isdecimal() and len(text) < 10:
        return int(text)
    hint = "Write a whole number of tokens, or leave it empty."
    raise LaunchRefused([FieldProblem("max_length", "tokens.max_length", f"`{text[:40]}` cannot be used.", hint)])


def _report(inspection: Inspection | None) -> dict[str, Any]:
    if inspection is None or inspection.state != Inspection.State.ANSWERED:
        return {"inspection": inspection, "has_worker": inspection is not None and has_worker(inspection)}
    report = TokenReport.model_validate(inspection.answer)
    figure = lengths_figure(report)
    return {"inspection": inspection, "report": report, "p50": report.at(0.5), "p95": report.at(0.95), "figure": figure}
