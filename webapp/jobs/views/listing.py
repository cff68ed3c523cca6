"""The list of all jobs: filtered, searched, paged, ordered; its columns are chosen, and name and note edited in it."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, QueryDict, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from webapp.accounts.context import signed_in
from webapp.accounts.models import Role
from webapp.accounts.permissions import may
from webapp.errors import shows_refusals
from webapp.jobs.filtering import filtered
from webapp.jobs.listed import COLUMNS, VALUES, Columns, as_csv
from webapp.jobs.models import Job, JobState
from webapp.jobs.naming import describe
from webapp.jobs.refusing import LaunchRefused
from webapp.jobs.views.home import jobs_here
from workers.methods import METHODS

PAGE_SIZE = 50
CSV_AT_MOST = 10_000
FILTERS = ("state", "method", "q")
KEPT = (*FILTERS, "columns", "value", "sort")
"""What of the address goes along from page to page."""


def job_list(request: HttpRequest) -> HttpResponseBase:
    """All jobs, newest first unless sorted, filtered by state, method and words of the name; `format=csv` with `page`
    gives that page, else up to 10,000 jobs."""
    asked = {name: request.GET.get(name, "").strip() for name in FILTERS}
    known = asked["state"] if asked["state"] in JobState.values else ""
    columns = Columns.of(request.GET)
    jobs = columns.ordered(filtered(jobs_here(request), asked | {"state": known})).prefetch_related("artifacts")
    page = Paginator(jobs, PAGE_SIZE).get_page(request.GET.get("page"))
    if request.GET.get("format") == "csv":
        rows = page.object_list if "page" in request.GET else jobs[:CSV_AT_MOST]
        response = StreamingHttpResponse(as_csv(list(rows), columns), content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = 'attachment; filename="jobs.csv"'
        return response
    edited = request.GET.get("edit", "")
    context = {
        "page_of": page,
        "asked": asked,
        "filtered": any(asked.values()),
        "query": _kept(request.GET),
        "columns": columns,
        "column_choices": COLUMNS,
        "value_choices": VALUES,
        "sorts": {name: _kept(request.GET, sort=columns.next_sort(name)) for name in SORTED},
        "edited": int(edited) if edited.isascii() and edited.isdigit() and len(edited) < 16 else None,
        "may_edit": any(may(signed_in(request), job.team_id, Role.MEMBER) for job in page.object_list[:1]),
        "states": JobState.choices,
        "methods": METHODS.values(),
    }
    part = request.headers.get("HX-Target") == "rows"
    return render(request, "jobs/_rows.html" if part else "jobs/list.html", context)


SORTED = ("trained", "value", "memory", "time")


def _kept(asked: QueryDict, **changes: str) -> str:
    """The address without what is empty, with these changes."""
    kept = QueryDict(mutable=True)
    for name in KEPT:
        values = [changes[name]] if name in changes else asked.getlist(name)
        kept.setlist(name, [value for value in values if value])
    return kept.urlencode()


@require_POST
@shows_refusals
def rename(request: HttpRequest, job_id: int) -> HttpResponse:
    """A job's name and note; back to the list as it was, or to the job's config."""
    user = signed_in(request)
    job = get_object_or_404(Job.objects.visible_to(user).select_related("team"), pk=job_id)
    try:
        describe(job, user, request.POST.get("name", ""), request.POST.get("remark", ""))
    except LaunchRefused as error:
        messages.error(request, " ".join(f"{each.message} {each.hint}" for each in error.problems))
    if "query" not in request.POST:
        return redirect(f"{job.get_absolute_url()}?tab=config")
    back = QueryDict(request.POST["query"])
    return redirect(f"{reverse('jobs:list')}?{_kept(back)}&page={back.get('page', '1')[:9]}")
