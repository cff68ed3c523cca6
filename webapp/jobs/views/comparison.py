"""Jobs side by side, for a study and for a free choice of jobs: one page and its tabs; figures are panels.py's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse

from webapp.accounts.context import signed_in
from webapp.jobs import comparing
from webapp.jobs.comparing import Group
from webapp.jobs.fronts import COSTS
from webapp.jobs.grouping import by_setting, choices, grouped
from webapp.jobs.models import Job
from webapp.jobs.panels import TABS, Look, filled
from webapp.jobs.sparklines import courses, together
from webapp.jobs.study_figures import look_of
from webapp.jobs.trade_offs import SORTS

JOBS_AT_MOST = 32
DIGITS = 16
KEPT = ("jobs", "group", "hide", "baseline", "tasks", "y", "sort", "papers")
"""What the address says of the view, from tab to tab: a copied link shows the same to a colleague."""


def compare(request: HttpRequest) -> HttpResponse:
    """`?jobs=1,2,3`: any jobs the person may see; unlike ones are named before they are compared."""
    if "job" in request.GET:  # from the boxes of the list
        return redirect(f"{reverse('jobs:compare')}?jobs={','.join(request.GET.getlist('job'))}")
    seen = Job.objects.visible_to(signed_in(request))
    ids = _numbers(request.GET.get("jobs", ""))[:JOBS_AT_MOST]
    rows = seen.filter(pk__in=ids).select_related("base_model", "dataset_version__dataset", "team")
    jobs = list(rows.prefetch_related("artifacts"))
    latest = seen.for_list()[:5] if len(jobs) < 2 else []
    return render(request, "studies/compare.html", comparison(request, jobs) | {"latest": latest})


def _numbers(text: str) -> list[int]:
    """Of a list with commas; what is no number that an id could be is left out."""
    return [int(each) for each in text.split(",") if each.isascii() and each.isdigit() and len(each) < DIGITS]


def comparison(request: HttpRequest, jobs: Sequence[Job]) -> dict[str, Any]:
    """What the tab that is open shows."""
    tabs = tabs_of(jobs)
    tab = request.GET.get("tab", "table")
    if tab not in tabs:
        raise Http404
    by, asked = choices(jobs), request.GET.get("group", "")
    key = asked if asked in by else ""
    groups = grouped(jobs, key)
    look = look_at(request.GET, groups)
    lines = courses(jobs, "loss") if tab == "table" else {}
    shared: dict[str, Any] = {
        "tab": tab,
        "tabs": tabs,
        "rows": [_row(request.GET, group, look, lines) for group in groups],
        "group_choices": by,
        "group_by": key,
        "group_word": by[key],
        "baseline": look.baseline,
        "differences": comparing.differences(jobs),
        "jobs": jobs,
        "figures": [],
        "query": _query(request.GET),
        "y_query": _query(request.GET, y=""),
        "papers_query": _query(request.GET, papers="" if look.papers else "1"),
        "heads": [_head(request.GET, key, label, look.sort) for key, (label, _) in SORTS.items()],
        "kept": [(name, request.GET[name]) for name in KEPT if request.GET.get(name)],
    }
    own = replace(look, groups=by_setting(jobs, look.groups)) if tab in BY_SETTING else look
    return shared | (filled(tab, own, jobs) if jobs else {})


BY_SETTING = ("efficiency", "samples")
"""Tabs that speak of one setting each, whatever the jobs are grouped by elsewhere."""


def tabs_of(jobs: Sequence[Job]) -> dict[str, str]:
    """Samples only where a model writes text."""
    named = {name: label for name, (label, _) in TABS.items()}
    if all(job.task == "text-classification" for job in jobs):
        del named["samples"]
    return named


def look_at(asked: QueryDict, groups: Sequence[Group]) -> Look:
    """How the groups are looked at, as the address says; what it says wrongly is left out."""
    hidden = set(_numbers(asked.get("hide", "")))
    shown = [group for group in groups if group.slot not in hidden]
    chosen = next((group for group in groups if str(group.slot) == asked.get("baseline")), None)
    tasks = asked.get("tasks", "")
    return Look(
        groups=shown,
        baseline=chosen,
        tasks=min(1000, max(1, int(tasks))) if tasks.isascii() and tasks.isdigit() and len(tasks) < 9 else 100,
        y=asked.get("y", "") if asked.get("y") in ("gain", "loss") else "",
        papers=asked.get("papers") == "1",
        sort=asked.get("sort", ""),
    )


@dataclass(frozen=True)
class Row:
    """A group in the table of jobs."""

    group: Group
    look: dict[str, Any]
    hidden: bool
    toggle: str
    """Query of the same view with this group hidden, or shown again."""
    against: float | None
    """Its mean score less the baseline's."""
    ratios: dict[str, float]
    """Of its costs to the baseline's, where both are known and may be compared."""
    lines: list[str]
    """Paths of a small picture: the train loss of each job, on one scale."""


def _row(asked: QueryDict, group: Group, look: Look, losses: dict[int, list[float]]) -> Row:
    hidden = group not in look.groups
    slots = {text for text in asked.get("hide", "").split(",") if text} ^ {str(group.slot)}
    toggle = _query(asked, hide=",".join(sorted(slots))) + f"tab={asked.get('tab', 'table')}"
    base, own = look.baseline.scores if look.baseline else None, group.scores
    same = look.baseline is not None and group != look.baseline and group.metric == look.baseline.metric
    against = own.mean - base.mean if base and own and same else None
    lines = together(losses.get(job.pk, ()) for job in group.jobs)
    return Row(group, look_of(group.slot), hidden, toggle, against, _ratios(group, look.baseline), lines)


def _ratios(group: Group, baseline: Group | None) -> dict[str, float]:
    if baseline is None or baseline == group or not (group.finished and baseline.finished):
        return {}
    found = {}
    for cost in COSTS:
        own, other = cost.of(group), cost.of(baseline)
        alike = cost.key in ("trained", "artifact") or comparing.alike(group, baseline, cost.purpose)
        if own and other and alike:
            found[cost.key] = own / other
    return found


@dataclass(frozen=True)
class Head:
    """A column's head: its link sorts by it, the largest first, and the second time the other way."""

    label: str
    query: str
    order: str
    """ascending, descending, or empty."""


def _head(asked: QueryDict, key: str, label: str, sort: str) -> Head:
    order = {key: "ascending", f"-{key}": "descending"}.get(sort, "")
    following = key if order == "descending" else f"-{key}"
    return Head(label, f"{_query(asked, sort=following)}tab=efficiency", order)


def _query(asked: QueryDict, **changed: str) -> str:
    kept = {name: changed.get(name, asked.get(name, "")) for name in KEPT}
    said = urlencode({name: value for name, value in kept.items() if value}, safe=",")
    return f"{said}&" if said else ""
