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
from webapp.jobs.models import Inspection
from webapp.jobs.refusing import LaunchRefused
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
    model = next((each for each in models if str(each.pk) == given.get("base_model")), next(iter(models), None))
    context: dict[str, Any] = {"version": version, "dataset": version.dataset, "models": models, "base_model": model}
    if model is None:
        return render(request, "jobs/tokens.html", context)
    try:
        wanted = asked(version, model, _length(given.get("max_length", "")))
    except LaunchRefused as error:
        context |= {"problems": error.problems, "max_length": given.get("max_length")}
        return render(request, "jobs/tokens.html", context, status=422)
    if request.method == "POST":
        ask_for(signed_in(request), wanted)
        address = reverse("jobs:tokens", args=[dataset_id, number])
        return redirect(f"{address}?{urlencode({'base_model': model.pk, 'max_length': wanted.max_length})}")
    context |= {"max_length": wanted.max_length, **_report(newest(wanted))}
    template = "jobs/_tokens.html" if request.headers.get("HX-Request") else "jobs/tokens.html"
    return render(request, template, context)


def _models(request: HttpRequest, version: DatasetVersion) -> list[BaseModel]:
    """Those of the dataset's team and the shared ones that can do its task, as far as the person sees them."""
    visible = BaseModel.objects.visible_to(signed_in(request)).ready()
    teams = {version.dataset.team_id, None} if version.dataset.team_id else None
    return [
        each
        for each in visible.order_by("name", "pk")
        if version.task in each.tasks and (teams is None or each.team_id in teams)
    ]


def _length(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) < 10 else None


def _report(inspection: Inspection | None) -> dict[str, Any]:
    if inspection is None or inspection.state != Inspection.State.ANSWERED:
        return {"inspection": inspection}
    report = TokenReport.model_validate(inspection.answer)
    figure = lengths_figure(report)
    return {"inspection": inspection, "report": report, "p50": report.at(0.5), "p95": report.at(0.95), "figure": figure}
