"""Datasets: the list, the upload, and one version with what its check found."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_POST

from webapp.accounts.context import current_team, signed_in
from webapp.accounts.models import Role
from webapp.accounts.permissions import may
from webapp.datasets.archiving import archive, bring_back, delete
from webapp.datasets.browsing import Wanted, download, find_rows, problem_list, remarks_of, remarks_on, rows_page
from webapp.datasets.choices import ASK, COLUMNS, DELIMITERS
from webapp.datasets.choosing import fixes_in_words, kinds_of, split_now, split_of
from webapp.datasets.comparing import ROWS_AT_MOST, TooLong, difference
from webapp.datasets.deciding import decide
from webapp.datasets.forms import UploadForm
from webapp.datasets.limits import Limits
from webapp.datasets.models import Dataset, DatasetVersion, VersionState
from webapp.datasets.shapes import shapes_form, wishes_of_columns
from webapp.datasets.showing import cell, said, shown_rows
from webapp.datasets.steps import address_of
from webapp.datasets.teaching import CHAPTERS
from webapp.datasets.uploading import UploadRefused, new_version, upload
from webapp.errors import problem, shows_refusals

PAGE_SIZE = 50
PUT_AWAY = {"archive": archive, "bring-back": bring_back, "delete": delete}
SIDES = ("train", "eval")
ROWS_AT_ALL = 10**11
WHOLE_CHARACTERS = 200_000
"""Of one text on a page; the download has all."""


def dataset_list(request: HttpRequest) -> HttpResponse:
    """The team's datasets and the shared ones, with the newest version of each."""
    words, archived = request.GET.get("q", "").strip(), "archived" in request.GET
    here = current_team(request)
    found = Dataset.objects.visible_to(signed_in(request)).filter(Q(team=here) | Q(team=None)).for_list()
    put_away = found.exclude(archived_at=None)
    found = put_away if archived else found.filter(archived_at=None)
    if words:
        found = found.filter(name__icontains=words)
    page_of = Paginator(found, PAGE_SIZE).get_page(request.GET.get("page"))
    context: dict[str, Any] = {"page_of": page_of, "q": words, "archived": archived}
    context["query"] = urlencode(({"q": words} if words else {}) | ({"archived": "1"} if archived else {}))
    context["put_away"] = 0 if archived else put_away.count()
    return render(request, "datasets/list.html", context)


@shows_refusals
def upload_page(request: HttpRequest) -> HttpResponse:
    """A new dataset, or with `?dataset=` a further version of one. What is in the file shows on the next pages."""
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
    asked = {"warnings": ASK, "step": COLUMNS}
    if dataset is not None:
        return new_version(user, dataset, file, asked)
    if team is None:
        raise UploadRefused("team.none", "You are in no team yet, and a dataset belongs to one.", "Ask to be added.")
    return upload(user, team, "", file, asked)


def _upload_form(
    request: HttpRequest, form: UploadForm, dataset: Dataset | None, status: int, refused: UploadRefused | None = None
) -> HttpResponse:
    here = current_team(request)
    context = {
        "form": form,
        "dataset": dataset,
        "team": here,
        "refused": refused,
        "limit_bytes": settings.MAX_UPLOAD_BYTES,
        "may_upload": here is not None and may(signed_in(request), here.pk, Role.MEMBER),
    }
    return render(request, "datasets/upload.html", context, status=status)


def help_page(request: HttpRequest) -> HttpResponse:
    """What a file must be, chapter by chapter; where each kind of problem leads."""
    words = [(chapter, [(code, said(code), fixes_in_words(code)) for code in chapter.kinds]) for chapter in CHAPTERS]
    return render(request, "datasets/help.html", {"chapters": words, "limits": Limits().in_words()})


def version(request: HttpRequest, dataset_id: int, number: int) -> HttpResponse:
    """Facts, problems by line, labels and rows; while it is checked, the page asks again. A draft goes on elsewhere."""
    found = _version(request, dataset_id, number)
    if found.step and may(signed_in(request), found.dataset.team_id, Role.MEMBER):
        return redirect(address_of(found))
    return _version_page(request, found)


def _version(request: HttpRequest, dataset_id: int, number: int) -> DatasetVersion:
    versions = DatasetVersion.objects.visible_to(signed_in(request)).select_related("dataset__team", "created_by")
    return get_object_or_404(versions, dataset__id=dataset_id, number=number)


def _version_page(request: HttpRequest, found: DatasetVersion, refused: UploadRefused | None = None) -> HttpResponse:
    remarked = {f"dataset.{code}" for code in remarks_of(found)}
    others = DatasetVersion.objects.filter(dataset=found.dataset).only("number", "state", "dataset_id", "rows")
    context: dict[str, Any] = {"version": found, "dataset": found.dataset, "versions": others.order_by("-number")}
    context["may_change"] = may(signed_in(request), found.dataset.team_id, Role.MEMBER)
    context["remarked"] = remarked
    untouched = found.state != VersionState.CHECKING and found.dataset.archived_at is None
    context["may_choose"] = context["may_change"] and found.upload_kept and untouched and not found.step
    older = others.filter(number__lt=found.number).exclude(file_key="")
    context["has_older"] = bool(found.file_key) and older.exists()
    context["may_delete"] = may(signed_in(request), found.dataset.team_id, Role.MAINTAINER)
    context |= {
        "refused": refused,
        "kinds": kinds_of(found),
        "shapes": shapes_form(found),
        "split_now": split_now(found),
    }
    context["delimiters"] = DELIMITERS.items() if found.format.startswith("CSV") else ()
    part = request.headers.get("HX-Target") == "version"
    template = "datasets/_version.html" if part else "datasets/version.html"
    return render(request, template, context | shown_rows(found), status=refused.status if refused else 200)


@require_POST
@shows_refusals
def choose(request: HttpRequest, dataset_id: int, number: int) -> HttpResponse:
    """Read the same upload again with what the form says; leads to the new version."""
    found = _version(request, dataset_id, number)
    try:
        wishes = wishes_of_columns(request.POST) | {"split": split_of(request.POST)}
        return redirect(decide(signed_in(request), found, wishes))
    except UploadRefused as error:
        return _version_page(request, found, error)


@require_POST
@shows_refusals
def put_away(request: HttpRequest, dataset_id: int, action: str) -> HttpResponse:
    """Archive, bring back or delete a dataset; back to the list it then stands in."""
    dataset = get_object_or_404(Dataset.objects.visible_to(signed_in(request)), pk=dataset_id)
    try:
        PUT_AWAY[action](signed_in(request), dataset)
    except UploadRefused as error:
        return problem(request, error.status, f"{dataset.name} is not deleted", error.message, error.hint)
    back = reverse("datasets:list")
    return redirect(f"{back}?archived=1" if action == "archive" else back)


def changes(request: HttpRequest, dataset_id: int, number: int) -> HttpResponse:
    """What this version added, removed and changed against an older one, the one before it unless another is named."""
    found = _version(request, dataset_id, number)
    older = DatasetVersion.objects.filter(dataset=found.dataset, number__lt=number).exclude(file_key="")
    older = older.only("number", "dataset_id", "state", "rows", "file_key").order_by("-number")
    asked = request.GET.get("from", "")
    before = next((each for each in older if str(each.number) == asked), next(iter(older), None))
    if not found.file_key or before is None:
        raise Http404
    context: dict[str, Any] = {"version": found, "dataset": found.dataset, "before": before, "older": older}
    try:
        told = difference(before, found)
        context["difference"] = told
        parts = [
            ("Added", told.added, told.added_rows, found),
            ("Removed", told.removed, told.removed_rows, before),
            ("Changed", told.changed, told.changed_rows, found),
        ]
        context["parts"] = [
            (title, total, of, [(place, [(name, cell(value)) for name, value in row.items()]) for place, row in rows])
            for title, total, rows, of in parts
        ]
    except TooLong:
        context["too_long"] = ROWS_AT_MOST
    except FileNotFoundError:
        context["gone"] = True
    return render(request, "datasets/changes.html", context)


def problems(request: HttpRequest, dataset_id: int, number: int) -> StreamingHttpResponse:
    """Every problem of the version's file as CSV."""
    return problem_list(_version(request, dataset_id, number))


def rows(request: HttpRequest, dataset_id: int, number: int) -> HttpResponse:
    """All rows of a version: paged, searched, by label and side; every row has an address of its own."""
    found = _version(request, dataset_id, number)
    if not found.file_key:
        raise Http404
    given = request.GET
    side = given.get("side", "")
    words, side = given.get("q", "").strip()[:200], side if side in SIDES else ""
    wanted = Wanted(words, given.get("label", "")[:300], side, given.get("problem", "")[:60])
    start = max(0, _place(given["row"]) - 1) if given.get("row") else _place(given.get("start", ""))
    page_of = find_rows(found, wanted, start, PAGE_SIZE)
    columns = list(dict.fromkeys(name for _, row in page_of.rows for name in row))
    table = [(each, [cell(row.get(name)) for name in columns]) for each, row in page_of.rows]
    context = {"version": found, "dataset": found.dataset, "wanted": wanted, "columns": columns, "table": table}
    context |= {"start": start, "next": page_of.next, "before": max(0, start - PAGE_SIZE), "sides": SIDES}
    context["remarks"] = [(code, said(code), count) for code, count in sorted(remarks_of(found).items())]
    named = {"q": wanted.words, "label": wanted.label, "side": wanted.side, "problem": wanted.problem}
    context["query"] = urlencode({name: value for name, value in named.items() if value})
    return render(request, "datasets/rows.html", context)


def row(request: HttpRequest, dataset_id: int, number: int, place: int) -> HttpResponse:
    """One row in full, at an address that stays: a version does not change."""
    found = _version(request, dataset_id, number)
    page_of = rows_page(found, place - 1, 1) if found.file_key and 0 < place <= ROWS_AT_ALL else []
    if not page_of:
        raise Http404
    parts = [(name, cell(value, WHOLE_CHARACTERS)) for name, value in page_of[0].items()]
    remarks = [(code, said(code)) for code in remarks_on(found, place)]
    context = {"version": found, "dataset": found.dataset, "place": place, "parts": parts, "remarks": remarks}
    return render(request, "datasets/row.html", context | {"last": place >= found.rows.get("good", 0)})


def _place(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 12 else 0


def download_rows(request: HttpRequest, dataset_id: int, number: int) -> StreamingHttpResponse:
    """The stored file."""
    return download(_version(request, dataset_id, number), signed_in(request))
