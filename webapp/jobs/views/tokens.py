"""A dataset version as a base model's tokenizer sees it: token lengths, what is cut, rows with their loss mask."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import urlencode

from webapp.accounts.context import signed_in
from webapp.basemodels.models import BaseModel
from webapp.datasets.choices import CHECK
from webapp.datasets.models import DatasetVersion
from webapp.errors import shows_refusals
from webapp.jobs.refusing import FieldProblem, LaunchRefused
from webapp.jobs.shown_tokens import models_for, shown
from webapp.jobs.token_reports import ask_for, asked, newest


@shows_refusals
def tokens(request: HttpRequest, dataset_id: int, number: int) -> HttpResponse:
    """GET: the report, or how far it is, for polling. POST: ask a worker for it."""
    versions = DatasetVersion.objects.visible_to(signed_in(request)).select_related("dataset__team")
    version = get_object_or_404(versions, dataset__id=dataset_id, number=number, dataset__archived_at=None)
    if not version.rows_sha256:
        raise Http404
    given = request.POST if request.method == "POST" else request.GET
    models = models_for(signed_in(request), version)
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
            name = f"datasets:{version.step}" if version.step == CHECK else "jobs:tokens"
            chosen = urlencode({"base_model": model.pk, "max_length": wanted.max_length})
            return redirect(f"{reverse(name, args=[dataset_id, number])}?{chosen}{'#tokens' if version.step else ''}")
    except LaunchRefused as error:
        context |= {"problems": error.problems, "max_length": given.get("max_length")}
        return render(request, "jobs/tokens.html", context, status=422)
    context |= {"max_length": wanted.max_length, **shown(newest(wanted))}
    if not request.headers.get("HX-Request"):
        return render(request, "jobs/tokens.html", context)
    answer = render(request, "jobs/_tokens.html", context)
    if "report" in context:
        answer["HX-Refresh"] = "true"  # a fragment brings no figure with it: the whole page does
    return answer


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
