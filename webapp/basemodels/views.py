"""Base models: the catalogue, registering, and one model with its facts."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.conf import settings
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from webapp.accounts.context import current_team, signed_in
from webapp.accounts.models import Role
from webapp.accounts.permissions import may
from webapp.basemodels.models import BaseModel
from webapp.basemodels.registering import RegistrationRefused, register_folder, register_hub
from webapp.errors import shows_refusals

PAGE_SIZE = 50


def model_list(request: HttpRequest) -> HttpResponse:
    """The team's base models and the shared ones."""
    words = request.GET.get("q", "").strip()
    here = current_team(request)
    rows = BaseModel.objects.visible_to(signed_in(request)).filter(Q(team=here) | Q(team=None))
    rows = rows.select_related("team").defer("shape", "files")
    if words:
        rows = rows.filter(name__icontains=words)
    context = {"page_of": Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page")), "q": words}
    part = request.headers.get("HX-Target") == "models"
    return render(request, "basemodels/_rows.html" if part else "basemodels/list.html", context)


@shows_refusals
def register(request: HttpRequest) -> HttpResponse:
    """A hub id at a pinned revision, or for the site's admin a folder on its machine."""
    user, here = signed_in(request), current_team(request)
    context: dict[str, Any] = {
        "folders": settings.MODEL_FOLDERS,
        "may_register": here is not None and may(user, here.pk, Role.MEMBER),
        "typed": request.POST,
    }
    if request.method != "POST":
        return render(request, "basemodels/register.html", context)
    try:
        if request.POST.get("source") == "folder":
            return redirect(register_folder(user, request.POST.get("folder", "")))
        return redirect(register_hub(user, here, request.POST.get("hub_id", ""), request.POST.get("revision", "")))
    except RegistrationRefused as error:
        return render(request, "basemodels/register.html", context | {"refused": error}, status=422)


def detail(request: HttpRequest, model_id: int) -> HttpResponse:
    """Facts of one base model; while it is checked, the page asks again."""
    rows = BaseModel.objects.visible_to(signed_in(request)).select_related("team", "created_by")
    model = get_object_or_404(rows, pk=model_id)
    context = {"model": model} | _facts(model)
    part = request.headers.get("HX-Target") == "model"
    return render(request, "basemodels/_model.html" if part else "basemodels/detail.html", context)


def _facts(model: BaseModel) -> dict[str, Any]:
    """What its shape says: how many linears of each kind there are, and how many parameters have a bias."""
    if model.shape is None:
        return {}
    shape = model.read_shape
    kinds = Counter((linear.role, linear.inputs, linear.outputs, linear.bias) for linear in shape.linears)
    linears = [
        {"role": role, "inputs": inputs, "outputs": outputs, "bias": bias, "count": count}
        for (role, inputs, outputs, bias), count in kinds.items()
    ]
    return {"facts": shape, "linears": linears}
