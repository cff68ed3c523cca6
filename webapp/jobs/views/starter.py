"""First run: the three steps to a first job, and the starter catalogue with its progress."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from webapp.accounts.context import current_team, signed_in
from webapp.accounts.models import Role
from webapp.accounts.permissions import may
from webapp.basemodels.models import BaseModel
from webapp.datasets.models import DatasetVersion
from webapp.errors import shows_refusals
from webapp.jobs.models import Worker
from webapp.jobs.starter import StarterEntry, entries, install


def starter_context(request: HttpRequest) -> dict[str, Any]:
    """The catalogue, split into what is here, on its way, and still to be had."""
    catalogue = entries()
    wanted = [each for each in catalogue if each.entry.default and not each.installed and not each.on_its_way]
    here = current_team(request)
    return {
        "catalogue": catalogue,
        "wanted": wanted,
        "on_its_way": [each for each in catalogue if each.on_its_way],
        "download_bytes": sum(each.entry.download_bytes for each in wanted),
        "stored_bytes": sum(each.entry.stored_bytes for each in wanted),
        "may_install": here is not None and may(signed_in(request), here.pk, Role.MEMBER),
        "first": _first_pair(catalogue),
        "worker_online": Worker.objects.visible_to(signed_in(request)).online().exists(),
    }


def _first_pair(catalogue: list[StarterEntry]) -> dict[str, int] | None:
    """A base model and a dataset version that are here and fit each other: the first job's preselection."""
    models = [each.installed for each in catalogue if isinstance(each.installed, BaseModel)]
    for each in catalogue:
        version = each.installed.newest if each.installed and not isinstance(each.installed, BaseModel) else None
        if version is None or version.state != "ready" or version.dataset.archived_at is not None:
            continue
        for model in models:
            if version.task in model.tasks:
                return {"base_model": model.pk, "dataset_version": version.pk}
    return None


def first_steps(request: HttpRequest) -> dict[str, Any]:
    """What a person without jobs has already: a ready dataset, a ready base model."""
    user = signed_in(request)
    return starter_context(request) | {
        "has_dataset": DatasetVersion.objects.visible_to(user).ready().exists(),
        "has_model": BaseModel.objects.visible_to(user).ready().exists(),
    }


@shows_refusals
def starter(request: HttpRequest) -> HttpResponse:
    """GET: the card as a fragment, for polling. POST: install what was asked for."""
    if request.method == "POST":
        install(signed_in(request), request.POST.getlist("names"))
    if request.headers.get("HX-Request"):
        return render(request, "jobs/_first_run.html", first_steps(request))
    return render(request, "jobs/first_run.html", first_steps(request))
