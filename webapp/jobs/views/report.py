"""A study as one HTML file that stands for itself: numbers, figures, and the plotly that draws them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from django.contrib.staticfiles import finders
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.utils import timezone

from webapp.accounts.context import signed_in
from webapp.jobs import comparing
from webapp.jobs.models import Study
from webapp.jobs.panels import TABS, sections_of

PLOTLY = "vendor/plotly/4.1.1/plotly-cartesian.min.js"
FIGURES = ("scores", "efficiency", "curves")


def study_report(request: HttpRequest, study_id: int) -> HttpResponse:
    """Downloaded, never shown here: it carries its script with it, which no page of the site may."""
    rows = Study.objects.visible_to(signed_in(request)).select_related("base_model", "dataset_version__dataset")
    study = get_object_or_404(rows, pk=study_id)
    related = study.jobs.select_related("base_model", "dataset_version__dataset", "team")
    jobs = list(related.prefetch_related("artifacts"))
    groups = comparing.groups_of(jobs)
    filled = sections_of(groups, jobs)
    context = {
        "title": study.name,
        "study": study,
        "jobs": jobs,
        "finished": sum(len(group.finished) for group in groups),
        "groups": groups,
        "differences": comparing.differences(jobs),
        "sections": [(TABS[name][0], filled[name]["figures"]) for name in FIGURES if name in filled],
        "now": timezone.now(),
        "tokens": _tokens(),
        "library": _library(),
        **{name: filled.get("efficiency", {}).get(name) for name in ("d90", "rank90", "claims", "trade_offs")},
        "across": filled.get("samples", {}).get("across", []),
        "settings": filled.get("config", {}).get("settings", []),
    }
    response = HttpResponse(render_to_string("reports/study.html", context))
    response["Content-Disposition"] = f'attachment; filename="study-{study.pk}.html"'
    return response


def _text(name: str) -> str:
    found = finders.find(name)
    assert isinstance(found, str), name
    return Path(found).read_text(encoding="utf-8")


@cache
def _tokens() -> str:
    """Colours and type of the site, without the font, which would be a file beside it."""
    sheet = _text("css/tokens.css")
    return sheet[: sheet.index("@font-face")] + sheet[sheet.index(":root") :]


@cache
def _library() -> str:
    """Plotly, and how a figure gets its colours."""
    painting = _text("js/painting.js").replace("export function", "function")
    return f"{_text(PLOTLY)}\n{painting}".replace("</script", "<\\/script")
