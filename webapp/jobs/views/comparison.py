"""Jobs side by side, for a study and for a free choice of jobs: one page, its tabs, its figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from webapp.accounts.context import signed_in
from webapp.jobs import comparing, efficiency
from webapp.jobs.comparing import Group, metric_name
from webapp.jobs.models import Job
from webapp.jobs.study_curves import bands, best_so_far, courses_of, overlay
from webapp.jobs.study_figures import COSTS, front, look_of, scores, sizes

TABS = {
    "table": "Jobs",
    "curves": "Curves",
    "scores": "Scores",
    "efficiency": "Parameter efficiency",
    "config": "Config",
}
JOBS_AT_MOST = 32
TASKS = 100


def compare(request: HttpRequest) -> HttpResponse:
    """`?jobs=1,2,3`: any jobs the person may see; unlike ones are named before they are compared."""
    if "job" in request.GET:  # from the boxes of the list
        return redirect(f"{reverse('jobs:compare')}?jobs={','.join(request.GET.getlist('job'))}")
    seen = Job.objects.visible_to(signed_in(request))
    ids = [int(text) for text in request.GET.get("jobs", "").split(",") if text.isascii() and text.isdigit()]
    ids = [number for number in ids if number < 2**53][:JOBS_AT_MOST]
    rows = seen.filter(pk__in=ids).select_related("base_model", "dataset_version__dataset", "team")
    jobs = list(rows.prefetch_related("artifacts"))
    latest = seen.for_list()[:5] if len(jobs) < 2 else []
    chosen = ",".join(str(job.pk) for job in jobs)
    context = comparison(request, jobs) | {"latest": latest, "chosen": chosen, "query": f"jobs={chosen}&"}
    return render(request, "studies/compare.html", context)


def comparison(request: HttpRequest, jobs: Sequence[Job]) -> dict[str, Any]:
    """What the tab that is open shows."""
    tab = request.GET.get("tab", "table")
    if tab not in TABS:
        raise Http404
    groups = comparing.groups_of(jobs)
    shared: dict[str, Any] = {
        "tab": tab,
        "tabs": TABS,
        "rows": [(group, look_of(group.slot)) for group in groups],
        "differences": comparing.differences(jobs),
        "jobs": jobs,
        "figures": [],
    }
    return shared | (FILL[tab](groups, jobs) if tab in FILL and jobs else {})


def sections_of(groups: list[Group], jobs: Sequence[Job]) -> dict[str, dict[str, Any]]:
    """What every tab but the table shows, by its name; nothing without jobs."""
    return {name: fill(groups, jobs) for name, fill in FILL.items()} if jobs else {}


def _figure(
    name: str, title: str, drawn: dict[str, Any] | None, help: str, missing: str, wide: bool = False
) -> dict[str, Any]:
    """A card; where nothing is drawn, `missing` says what it would take."""
    told = {"name": name, "script_id": f"figure-{name}", "title": title, "help": help if drawn else ""}
    return told | {"drawn": drawn, "missing": missing, "wide": wide}


def _curves(groups: list[Group], jobs: Sequence[Job]) -> dict[str, Any]:
    courses = courses_of(groups)
    series = next((metric_name(job) for job in jobs if job.best_metric), "eval_loss")
    named = series.replace("_", " ")
    alike = "Colour is method and size; repeats with other seeds are drawn alike."
    first = "Which got there first: a step up is a better evaluation."
    few, seeds = "Needs a job with at least two points.", "Needs a method with two seeds."
    by_step, spread = (
        overlay(courses, series, named, smooth=False),
        "Around the mean, smallest to largest of the seeds.",
    )
    return {
        "figures": [
            _figure("loss", "Train loss, smoothed 0.60", overlay(courses, "loss", "loss", True), alike, few, wide=True),
            _figure("eval", named.capitalize(), by_step, alike, few),
            _figure("seeds", "Mean and range over seeds", bands(courses, series), spread, seeds),
            _figure("best-time", "Best so far over time", best_so_far(courses, series, "time"), first, few),
            _figure("best-tokens", "Best so far over tokens", best_so_far(courses, series, "tokens"), first, few),
        ]
    }


def _scores(groups: list[Group], jobs: Sequence[Job]) -> dict[str, Any]:
    panels = comparing.facets(groups, "score")
    help = "Below five repeats the whisker spans smallest to largest, from five on it is the 95 % interval of the mean."
    baseline = efficiency.full_of(groups)
    return {
        "figures": [
            _figure(
                f"scores-{place}", _panel_title("Scores", place, panels), scores(panel, baseline), help, "", wide=True
            )
            for place, panel in enumerate(panels)
        ],
        "nothing": "No job has a score yet: the first comes with the first that succeeds.",
    }


def _panel_title(title: str, place: int, panels: Sequence[Any]) -> str:
    return f"{title}, comparable group {place + 1} of {len(panels)}" if len(panels) > 1 else title


def _efficiency(groups: list[Group], jobs: Sequence[Job]) -> dict[str, Any]:
    figures, two = [], "Needs two comparable settings that have succeeded."
    for cost in COSTS:
        panels = comparing.facets(groups, "score") if cost.purpose == "score" else _both(groups, cost.purpose)
        for place, panel in enumerate(panels):
            drawn = front(panel, cost)
            if drawn or place == 0:
                title = _panel_title(f"Score against {cost.title.split(',')[0].lower()}", place, panels)
                help = "Dotted: the front. Hollow: not separable from it. Shape: family."
                name = f"front-{cost.key}-{place}"
                figures.append(_figure(name, title, drawn, help, two, wide=cost.key == "trained"))
    full = next((group for group in groups if group.method == efficiency.FULL and group.artifact_bytes), None)
    base = jobs[0].base_model
    full_bytes = int(full.artifact_bytes or 0) if full else base.bytes
    on_disk, real = sizes(groups, full_bytes), "Real files, logarithmic. Dashed: the full checkpoint."
    figures.append(_figure("sizes", "Delta on disk", on_disk, real, "Needs a job that has left a delta."))
    return {
        "figures": figures,
        "savings": _savings(groups, full_bytes, base.bytes),
        "d90": efficiency.d90(groups),
        "rank90": efficiency.rank90(groups),
        "claims": efficiency.claims(groups, base.parameters),
        "full_missing": full is None,
    }


def _both(groups: list[Group], purpose: comparing.Purpose) -> list[list[Group]]:
    """A score against memory or time: both must be comparable."""
    return [part for panel in comparing.facets(groups, "score") for part in comparing.facets(panel, purpose)]


def _savings(groups: list[Group], full_bytes: int, base_bytes: int) -> list[tuple[Group, efficiency.Savings]]:
    return [
        (group, efficiency.savings(TASKS, full_bytes, base_bytes, group.artifact_bytes))
        for group in groups
        if group.artifact_bytes and full_bytes and group.method != efficiency.FULL
    ]


def _config(groups: list[Group], jobs: Sequence[Job]) -> dict[str, Any]:
    return {"settings": comparing.config_difference(jobs)}


FILL = {"curves": _curves, "scores": _scores, "efficiency": _efficiency, "config": _config}
"""What fills a tab."""
