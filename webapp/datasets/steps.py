"""The pages of a file on its way in: columns, check, save. Each has its own address, and may be closed and reopened."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from webapp.accounts.context import signed_in
from webapp.accounts.models import Role
from webapp.accounts.permissions import may
from webapp.datasets import drafting
from webapp.datasets.choices import CHECK, COLUMNS, SAVE
from webapp.datasets.choosing import fixes_of, kinds_of, split_of
from webapp.datasets.models import Dataset, DatasetVersion, VersionState
from webapp.datasets.shapes import reading_form, shapes_form, wishes_of_columns
from webapp.datasets.showing import shown_rows
from webapp.datasets.uploading import UploadRefused
from webapp.errors import shows_refusals

STEPS = (COLUMNS, CHECK, SAVE)
READING = {
    COLUMNS: "The first rows are being looked at.",
    CHECK: "Every row is being read.",
    SAVE: "The rows are being written.",
}
NAMES = {"rename_columns", "drop_column"}
"""Fixes without which the columns cannot be told apart."""
Page = Callable[[HttpRequest, DatasetVersion], HttpResponse]


def address_of(version: DatasetVersion) -> str:
    """Where a person goes on with a draft."""
    return reverse(f"datasets:{version.step}", args=[version.dataset_id, version.number])


def _step(name: str) -> Callable[[Page], Callable[[HttpRequest, int, int], HttpResponse]]:
    """Leads elsewhere where the draft is not yet so far, is being read, or is none any more."""

    def decorate(page: Page) -> Callable[[HttpRequest, int, int], HttpResponse]:
        @wraps(page)
        def view(request: HttpRequest, dataset_id: int, number: int) -> HttpResponse:
            versions = DatasetVersion.objects.visible_to(signed_in(request)).select_related("dataset__team")
            found = get_object_or_404(versions, dataset__id=dataset_id, number=number)
            if request.method == "POST":
                return page(request, found)
            if not found.step or not may(signed_in(request), found.dataset.team_id, Role.MEMBER):
                return _elsewhere(request, found.get_absolute_url())
            ahead = STEPS.index(name) > STEPS.index(found.step)
            if name != found.step and (ahead or found.state == VersionState.CHECKING):
                return _elsewhere(request, address_of(found))
            return page(request, found)

        return shows_refusals(view)

    return decorate


def _elsewhere(request: HttpRequest, address: str) -> HttpResponse:
    """To another page; a fragment cannot be one, so it names it."""
    if request.headers.get("HX-Request"):
        return HttpResponse(headers={"HX-Redirect": address})
    return redirect(address)


def _shown(
    request: HttpRequest, name: str, version: DatasetVersion, context: dict[str, Any], refused: UploadRefused | None
) -> HttpResponse:
    reached = STEPS.index(version.step or SAVE)
    waits = version.state == VersionState.CHECKING
    steps = [(each, each.title(), each == name, place <= reached and not waits) for place, each in enumerate(STEPS)]
    context |= {"version": version, "dataset": version.dataset, "steps": steps, "part": f"datasets/_{name}.html"}
    context |= {"refused": refused, "waits": waits, "being_done": READING.get(version.step, "")}
    fragment = request.headers.get("HX-Target") == "step"
    template = "datasets/_step.html" if fragment else "datasets/step.html"
    return render(request, template, context, status=refused.status if refused else 200)


@_step(COLUMNS)
def columns(request: HttpRequest, version: DatasetVersion) -> HttpResponse:
    """How the file is read and what its columns are; nothing is taken for granted that was guessed."""
    refused = None
    if request.method == "POST":
        try:
            wishes = wishes_of_columns(request.POST)
            act = drafting.check_all if request.POST.get("go") == "check" else drafting.look_again
            return redirect(address_of(act(signed_in(request), version, wishes)))
        except UploadRefused as error:
            refused = error
    kinds = [each for each in kinds_of(version) if not version.found or _about_columns(each["problem"])]
    context = {"shapes": shapes_form(version), "reading": reading_form(version), "kinds": kinds}
    return _shown(request, COLUMNS, version, context | shown_rows(version), refused)


def _about_columns(problem: dict[str, Any]) -> bool:
    """Whether it is settled in this step: all else waits for the check."""
    return bool(NAMES & set(problem["fixes"])) or problem["code"] in ("dataset.mapping", "dataset.missing_column")


@_step(CHECK)
def check(request: HttpRequest, version: DatasetVersion) -> HttpResponse:
    """What the check of all rows found, and what shall be done about each kind."""
    refused = None
    if request.method == "POST":
        try:
            return redirect(address_of(drafting.settle(signed_in(request), version, {"fixes": fixes_of(request.POST)})))
        except UploadRefused as error:
            refused = error
            version.refresh_from_db()
    kinds = kinds_of(version)
    notices = [each for each in version.all_problems if each["severity"] == "notice"]
    warnings = sum(each["problem"]["count"] for each in kinds if each["problem"]["severity"] == "warning")
    lost = version.state == VersionState.REFUSED
    context = {"kinds": kinds, "notices": notices, "warnings": warnings, "lost": lost}
    return _shown(request, CHECK, version, context | shown_rows(version), refused)


@_step(SAVE)
def save(request: HttpRequest, version: DatasetVersion) -> HttpResponse:
    """Name, licence and split; then the rows are written."""
    refused = None
    if request.method == "POST":
        try:
            return redirect(address_of(_saved(request, version)))
        except UploadRefused as error:
            refused = error
            version.refresh_from_db()
    others = Dataset.objects.filter(team=version.dataset.team, archived_at=None).exclude(pk=version.dataset_id)
    given = request.POST if refused else {}
    split = version.asked.get("split") or version.split
    context = {
        "names": others.order_by("-id").values_list("name", flat=True)[:100],
        "is_new": not version.dataset.versions.exclude(pk=version.pk).exists(),
        "name": given.get("name", version.dataset.name),
        "licence": given.get("licence", version.asked.get("licence") or version.dataset.licence),
        "kind": given.get("split", split.get("kind", "fraction")),
        "percent": given.get("eval_percent", f"{100 * split.get('fraction', 0.1):g}"),
        "seed": given.get("seed", str(split.get("seed", 17))),
        "split_column": given.get("split_column", split.get("column", "")),
        "left_out": version.rows.get("bad", 0),
    }
    return _shown(request, SAVE, version, context, refused)


def _saved(request: HttpRequest, version: DatasetVersion) -> DatasetVersion:
    """Nothing is stored of a second file that would not be held out. Raises UploadRefused, NotAllowed."""
    user, form = signed_in(request), request.POST
    split = split_of(form)
    if file := request.FILES.get("second"):
        if split is None or split["kind"] != "file":
            message = "A second file was sent, but the rows held out are not set to be those of a second file."
            hint = "Choose `A second file` and the file once more, or save without the file."
            raise UploadRefused("dataset.split", message, hint)
        version = drafting.add_second_file(user, version, file)
    return drafting.save(user, version, form.get("name", ""), form.get("licence", ""), split)


@require_POST
@shows_refusals
def discard(request: HttpRequest, dataset_id: int, number: int) -> HttpResponse:
    """Forget the file; back to where another one is chosen."""
    versions = DatasetVersion.objects.visible_to(signed_in(request)).select_related("dataset__team")
    found = get_object_or_404(versions, dataset__id=dataset_id, number=number)
    try:
        drafting.discard(signed_in(request), found)
    except UploadRefused:
        return redirect(found)
    extends = Dataset.objects.filter(pk=dataset_id).exists()
    return redirect(reverse("datasets:upload") + (f"?dataset={dataset_id}" if extends else ""))
