"""One job: its header, numbers, charts, checkpoints, settings, log and history."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from webapp.accounts.context import signed_in
from webapp.accounts.models import Role
from webapp.accounts.permissions import may
from webapp.errors import problem, shows_refusals
from webapp.jobs import doctor, transitions
from webapp.jobs.baseline import PINNED, baseline_of, pinned_id
from webapp.jobs.models import Job, JobState, delta_of
from webapp.jobs.outlook import waiting
from webapp.jobs.reasons import advice_for
from webapp.jobs.refusing import LaunchRefused
from webapp.jobs.sparklines import newest_columns, sparklines
from webapp.jobs.templatetags.badges import lost
from webapp.jobs.views.home import back_to_queue
from webapp.jobs.views.job_tabs import filled, result, tabs_of
from workers.methods import METHODS

KPI_SERIES = ("loss", "tokens_per_second", "device_memory_bytes")
PARTS = {"head": "jobs/_head.html", "result": "jobs/_result.html"}


def _job(request: HttpRequest, job_id: int) -> Job:
    rows = Job.objects.visible_to(signed_in(request)).prefetch_related("artifacts")
    related = (
        "team",
        "created_by",
        "base_model",
        "dataset_version__dataset",
        "current_attempt__worker",
        "retry_of",
        "study",
    )
    return get_object_or_404(rows.select_related(*related), pk=job_id)


def detail(request: HttpRequest, job_id: int) -> HttpResponse:
    """A page with tabs; `part` asks for one fragment that the open page fetches again."""
    job = _job(request, job_id)
    tabs, tab, part = tabs_of(job), request.GET.get("tab", "overview"), request.GET.get("part", "")
    if tab not in tabs:
        raise Http404
    if part == "samples":
        return render(request, "jobs/_samples.html", filled(request, job, tab) | {"job": job})
    context = _head(request, job) | {"tab": tab, "tabs": tabs}
    if part in PARTS:
        return render(request, PARTS[part], context | result(job))
    template = "jobs/efficiency.html" if tab == "efficiency" else "jobs/detail.html"
    return render(request, template, context | filled(request, job, tab))


def _head(request: HttpRequest, job: Job) -> dict[str, Any]:
    attempt, columns = job.current_attempt, newest_columns(job)
    best = (str(job.best_metric["name"]),) if job.best_metric else ()
    lines = sparklines(columns, (*KPI_SERIES, *best))
    return {
        "job": job,
        "method": METHODS.get(job.method),
        "actions": transitions.actions(job, signed_in(request)),
        "may_act": may(signed_in(request), job.team_id, Role.MEMBER),
        "waiting": waiting(job, signed_in(request)),
        "lost": job.at_work and lost(attempt),
        **_diagnosis(job),
        "artifact": delta_of(job),
        "baseline": (baseline := baseline_of(request, job)),
        "is_pinned": pinned_id(request) == job.pk,
        "against": f"&against={baseline.job.pk}" if baseline else "",
        "sparklines": lines | {"best": lines.get(best[0], "") if best else ""},
    }


def _diagnosis(job: Job) -> dict[str, Any]:
    """Why it ended, its numbers, the one suggested fix, and the log around the error."""
    said: dict[str, Any] = {"advice": advice_for(doctor.cause_of(job))}
    if job.state == JobState.FAILED:
        said |= {"fix": doctor.fix_for(job), "numbers": doctor.numbers_of(job)}
        said["log_excerpt"] = doctor.error_in_view(job.log_tail)
    return said


@require_POST
def pin(request: HttpRequest, job_id: int) -> HttpResponse:
    """This job becomes the one that others are held against, for this session; pressed again, none is."""
    job = _job(request, job_id)
    if pinned_id(request) == job.pk or "unpin" in request.POST:
        request.session.pop(PINNED, None)
    else:
        request.session[PINNED] = job.pk
    return redirect("jobs:detail", job.pk)


@require_POST
@shows_refusals
def action(request: HttpRequest, job_id: int, action: str) -> HttpResponse:
    """Cancel, pause, resume, retry; for retry the new job's page opens."""
    job = _job(request, job_id)
    if action not in transitions.VERBS:
        raise Http404
    try:
        after = transitions.act(job, signed_in(request), action)
    except transitions.NotNow as error:
        return problem(request, 409, "Not possible in this state", str(error))
    except LaunchRefused as error:
        return problem(request, 422, "The job was not queued", str(error), error.problems[0].hint)
    said = {
        "cancel": f"{job.name} is being cancelled." if after.at_work else f"{job.name} is cancelled.",
        "pause": f"{job.name} saves a checkpoint and pauses." if after.at_work else f"{job.name} is paused.",
        "resume": f"{job.name} is back in the queue.",
        "retry": f"Retrying as a new job, {after.name}.",
    }
    messages.success(request, said[action])
    if request.POST.get("from") == "queue" and action != "retry":
        return back_to_queue(request)
    return redirect("jobs:detail", after.pk)
