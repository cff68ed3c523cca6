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
from webapp.jobs import doctor, figures, transitions
from webapp.jobs.accuracy import judge
from webapp.jobs.device_figures import memory, system_charts, utilisation
from webapp.jobs.models import Event, Job, JobState, delta_of
from webapp.jobs.outlook import waiting
from webapp.jobs.reasons import advice_for
from webapp.jobs.reference_lines import held_against
from webapp.jobs.refusing import LaunchRefused
from webapp.jobs.shown import shown
from webapp.jobs.sparklines import sparklines
from webapp.jobs.templatetags.badges import lost
from webapp.jobs.views.artifacts import card_of
from webapp.jobs.views.home import back_to_queue
from workers.methods import METHODS

TABS = {
    "overview": "Overview",
    "system": "System",
    "data": "First rows",
    "log": "Log",
    "checkpoints": "Checkpoints",
    "config": "Config",
    "history": "History",
}
KPI_SERIES = ("loss", "tokens_per_second", "device_memory_bytes")
LOG_LINES = {"overview": 200, "log": 2000}
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
    part = PARTS.get(request.GET.get("part", ""))
    tab = request.GET.get("tab", "overview")
    if tab not in TABS:
        raise Http404
    context = _head(request, job) | {"tab": tab, "tabs": TABS}
    if part:
        return render(request, part, context | _result(job))
    fill = {"checkpoints": _checkpoints, "config": _config, "history": _history, "log": _log, "overview": _overview}
    fill |= {"system": _system, "data": _first_rows}
    return render(request, "jobs/detail.html", context | fill[tab](job))


def _head(request: HttpRequest, job: Job) -> dict[str, Any]:
    attempt = job.current_attempt
    return {
        "job": job,
        "method": METHODS.get(job.method),
        "actions": transitions.actions(job, signed_in(request)),
        "may_act": may(signed_in(request), job.team_id, Role.MEMBER),
        "waiting": waiting(job, signed_in(request)),
        "lost": job.at_work and lost(attempt),
        **_diagnosis(job),
        "artifact": delta_of(job),
        "sparklines": sparklines(job, KPI_SERIES),
    }


def _diagnosis(job: Job) -> dict[str, Any]:
    """Why it ended, its numbers, the one suggested fix, and the log around the error."""
    said: dict[str, Any] = {"advice": advice_for(doctor.cause_of(job))}
    if job.state == JobState.FAILED:
        said |= {"fix": doctor.fix_for(job), "numbers": doctor.numbers_of(job)}
        said["log_excerpt"] = doctor.error_in_view(job.log_tail)
    return said


def _overview(job: Job) -> dict[str, Any]:
    on_device = [memory(job), utilisation(job)]
    charts = [
        *held_against(job, figures.charts_for(job)),
        *(figures.ended_without(on_device) if job.ended else on_device),
    ]
    return _log(job, "overview") | _result(job) | {"charts": charts, "page_data": _charts_page(job)}


def _system(job: Job) -> dict[str, Any]:
    return {"charts": system_charts(job), "page_data": _charts_page(job), "shown": shown(job), "judged": judge(job)}


def _first_rows(job: Job) -> dict[str, Any]:
    return {"shown": shown(job), "page_data": _log(job)["page_data"]}


def _charts_page(job: Job) -> dict[str, Any]:
    """What the page's modules need to fill charts."""
    return {
        "job": job.pk,
        "cursor": job.last_event,
        "ended": job.ended,
        "ending": _ending(job),
        "smoothing": figures.SMOOTHING,
        "started_at": job.started_at.timestamp() if job.started_at else None,
        "total_steps": job.total_steps,
    }


def _ending(job: Job) -> dict[str, str] | None:
    """What stands at the end of the lines once nothing follows."""
    if not job.ended:
        return None
    colours = {JobState.SUCCEEDED: "--good-text", JobState.FAILED: "--bad-text"}
    colour = colours.get(JobState(job.state), "--muted")
    return {"words": job.get_state_display().lower(), "colour": colour, "why": job.reason_sentence}


def _result(job: Job) -> dict[str, Any]:
    delta = delta_of(job)
    return card_of(delta) if delta else {}


def _log(job: Job, tab: str = "log") -> dict[str, Any]:
    newest = Event.objects.filter(job=job, kind="log").order_by("-number")[: LOG_LINES[tab]]
    page = {"job": job.pk, "cursor": job.last_event, "ended": job.ended, "total_steps": job.total_steps}
    return {"log": reversed(newest), "page_data": page}


def _checkpoints(job: Job) -> dict[str, Any]:
    return {"checkpoints": job.checkpoints.select_related("attempt"), "page_data": _log(job)["page_data"]}


def _config(job: Job) -> dict[str, Any]:
    """Rendered from the stored spec, never from a form."""
    spec = job.read_spec
    return {"spec": spec, "options": spec.options, "training": spec.training, "page_data": _log(job)["page_data"]}


def _history(job: Job) -> dict[str, Any]:
    return {
        "changes": job.history.select_related("attempt"),
        "attempts": job.attempts.select_related("worker"),
        "page_data": _log(job)["page_data"],
    }


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
