"""The queue, which is the first page, and the list of all jobs."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from webapp.accounts.context import current_team, signed_in
from webapp.jobs.models import AT_WORK, ENDED, Job, JobState
from webapp.jobs.outlook import waiting
from webapp.jobs.views.starter import first_steps
from workers.methods import METHODS

PAGE_SIZE = 50
QUEUED_SHOWN = 10
RECENT_SHOWN = 8


def jobs_here(request: HttpRequest) -> QuerySet[Job]:
    """Jobs of the team the person works in, with what a row shows."""
    rows = Job.objects.visible_to(signed_in(request)).filter(team=current_team(request))
    return rows.for_list().select_related("current_attempt__worker")


def home(request: HttpRequest) -> HttpResponse:
    """What runs, waits and has ended; without any job, the three first steps."""
    jobs = jobs_here(request)
    if not jobs.exists():
        return render(request, "jobs/first_run.html", first_steps(request))
    part = request.headers.get("HX-Target") == "queue"
    return render(request, "jobs/_queue.html" if part else "jobs/home.html", _queue(jobs))


def _queue(jobs: QuerySet[Job]) -> dict[str, Any]:
    queued = list(jobs.filter(state=JobState.QUEUED).order_by("-priority", "queue_position", "id")[:QUEUED_SHOWN])
    today = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    failed = Count("pk", filter=Q(state=JobState.FAILED, ended_at__gte=today))
    counts = jobs.aggregate(
        running=Count("pk", filter=Q(state__in=AT_WORK)),
        queued=Count("pk", filter=Q(state=JobState.QUEUED)),
        failed_today=failed,
    )
    return {
        "counts": counts,
        "running": jobs.filter(state__in=AT_WORK).order_by("id"),
        "queued": queued,
        "first_waits": waiting(queued[0]) if queued else None,
        "paused": jobs.filter(state=JobState.PAUSED)[:QUEUED_SHOWN],
        "recent": jobs.filter(state__in=ENDED).prefetch_related("artifacts").order_by("-ended_at")[:RECENT_SHOWN],
    }


def job_list(request: HttpRequest) -> HttpResponse:
    """All jobs, newest first, filtered by state, method and words of the name."""
    asked = {name: request.GET.get(name, "").strip() for name in ("state", "method", "q")}
    jobs = _filtered(jobs_here(request), asked).prefetch_related("artifacts")
    context = {
        "page_of": Paginator(jobs, PAGE_SIZE).get_page(request.GET.get("page")),
        "asked": asked,
        "filtered": any(asked.values()),
        "query": "&".join(f"{name}={value}" for name, value in asked.items() if value),
        "states": JobState.choices,
        "methods": METHODS.values(),
    }
    part = request.headers.get("HX-Target") == "rows"
    return render(request, "jobs/_rows.html" if part else "jobs/list.html", context)


def _filtered(jobs: QuerySet[Job], asked: dict[str, str]) -> QuerySet[Job]:
    if asked["state"] in JobState.values:
        jobs = jobs.filter(state=asked["state"])
    if asked["method"]:
        jobs = jobs.filter(method=asked["method"])
    for word in asked["q"].split()[:8]:
        in_data = Q(dataset_version__dataset__name__icontains=word)
        jobs = jobs.filter(Q(name__icontains=word) | Q(base_model__name__icontains=word) | in_data)
    return jobs
