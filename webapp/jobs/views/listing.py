"""The list of all jobs: filtered, searched, paged, newest first."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from webapp.jobs.filtering import filtered
from webapp.jobs.models import JobState
from webapp.jobs.views.home import jobs_here
from workers.methods import METHODS

PAGE_SIZE = 50


def job_list(request: HttpRequest) -> HttpResponse:
    """All jobs, newest first, filtered by state, method and words of the name."""
    asked = {name: request.GET.get(name, "").strip() for name in ("state", "method", "q")}
    known = asked["state"] if asked["state"] in JobState.values else ""
    jobs = filtered(jobs_here(request), asked | {"state": known}).prefetch_related("artifacts")
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
