"""Datasets: the list, the upload, and one version with what its check found."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from webapp.accounts.context import current_team, signed_in
from webapp.accounts.models import Role
from webapp.accounts.permissions import may
from webapp.datasets.browsing import rows_page
from webapp.datasets.forms import PARTS, UploadForm
from webapp.datasets.models import Dataset, DatasetVersion
from webapp.datasets.uploading import UploadRefused, new_version, upload
from webapp.errors import shows_refusals

PAGE_SIZE = 50
ROWS_SHOWN = 20


def dataset_list(request: HttpRequest) -> HttpResponse:
    """The team's datasets and the shared ones, with the newest version of each."""
    words = request.GET.get("q", "").strip()
    here = current_team(request)
    rows = Dataset.objects.visible_to(signed_in(request)).filter(Q(team=here) | Q(team=None)).for_list()
    if words:
        rows = rows.filter(name__icontains=words)
    context = {"page_of": Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page")), "q": words}
    return render(request, "datasets/list.html", context)


@shows_refusals
def upload_page(request: HttpRequest) -> HttpResponse:
    """A new dataset, or with `?dataset=` a further version of one. The check runs afterwards, on its own page."""
    dataset = _dataset_to_extend(request)
    form = UploadForm(request.POST, request.FILES) if request.method == "POST" else UploadForm()
    if request.method != "POST" or not form.is_valid():
        return _upload_form(request, form, dataset, 422 if form.errors else 200)
    try:
        version = _take(request, form, dataset)
    except UploadRefused as error:
        return _upload_form(request, form, dataset, error.status, error)
    return redirect(version)


def _dataset_to_extend(request: HttpRequest) -> Dataset | None:
    asked = request.GET.get("dataset")
    if not asked:
        return None
    if not asked.isdecimal() or len(asked) > 18:
        raise Http404
    return get_object_or_404(Dataset.objects.visible_to(signed_in(request)), pk=asked)


def _take(request: HttpRequest, form: UploadForm, dataset: Dataset | None) -> DatasetVersion:
    user, file, team = signed_in(request), form.cleaned_data["file"], current_team(request)
    if dataset is not None:
        return new_version(user, dataset, file, form.asked())
    if team is None:
        raise UploadRefused("team.none", "You are in no team yet, and a dataset belongs to one.", "Ask to be added.")
    return upload(user, team, form.cleaned_data["name"], file, form.asked())


def _upload_form(
    request: HttpRequest, form: UploadForm, dataset: Dataset | None, status: int, refused: UploadRefused | None = None
) -> HttpResponse:
    here = current_team(request)
    context = {
        "form": form,
        "dataset": dataset,
        "refused": refused,
        "parts": [(part, request.POST.get(f"map.{part}", "")) for part in PARTS],
        "limit_bytes": settings.MAX_UPLOAD_BYTES,
        "may_upload": here is not None and may(signed_in(request), here.pk, Role.MEMBER),
    }
    return render(request, "datasets/upload.html", context, status=status)


def version(request: HttpRequest, dataset_id: int, number: int) -> HttpResponse:
    """Facts, problems by line, labels and rows; while it is checked, the page asks again."""
    rows = DatasetVersion.objects.visible_to(signed_in(request)).select_related("dataset__team", "created_by")
    found = get_object_or_404(rows, dataset_id=dataset_id, number=number)
    others = DatasetVersion.objects.filter(dataset=found.dataset).only("number", "state", "dataset_id", "rows")
    context: dict[str, Any] = {"version": found, "dataset": found.dataset, "versions": others.order_by("-number")}
    part = request.headers.get("HX-Target") == "version"
    return render(request, "datasets/_version.html" if part else "datasets/version.html", context | _rows(found))


def _rows(found: DatasetVersion) -> dict[str, Any]:
    """The first rows as they are stored; before that, what the check has read."""
    try:
        shown = rows_page(found, 0, ROWS_SHOWN) if found.file_key else list(found.preview)[:ROWS_SHOWN]
    except OSError:
        shown = list(found.preview)[:ROWS_SHOWN]
    columns = list(dict.fromkeys(name for row in shown for name in row))
    most = max(found.labels.values(), default=1)
    return {
        "columns": columns,
        "table": [[_cell(row.get(name)) for name in columns] for row in shown],
        "labels": [(name, count, 100 * count / most) for name, count in found.labels.items()],
    }


def _cell(value: Any) -> dict[str, Any]:
    """Chat messages as lines with their role, all else as text."""
    if isinstance(value, list) and all(isinstance(each, dict) for each in value):
        return {"messages": [(each.get("role", ""), str(each.get("content", ""))) for each in value]}
    return {"text": "" if value is None else str(value)}
