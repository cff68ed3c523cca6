"""What fills each tab of a job's page."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from webapp.accounts.context import signed_in
from webapp.jobs import doctor, said
from webapp.jobs.accuracy import judge
from webapp.jobs.baseline import AGAINST, pinned_id
from webapp.jobs.config_text import as_command, as_yaml
from webapp.jobs.device_figures import pace_charts, system_charts
from webapp.jobs.figures import SMOOTHING
from webapp.jobs.grouping import config_difference
from webapp.jobs.learning_figures import charts_for
from webapp.jobs.models import Event, Job, JobState, delta_of
from webapp.jobs.own_front import own_front
from webapp.jobs.reference_lines import held_against
from webapp.jobs.saved import saved
from webapp.jobs.shown import shown
from webapp.jobs.views.artifacts import card_of

LOG_LINES = {"overview": 200, "log": 2000}
LOG_LEVELS = {"": "All lines", "warning": "Warnings and errors", "error": "Errors"}
LOUDER = {"warning": ("warning", "error"), "error": ("error",)}
OTHERS_AT_MOST = 20
"""Jobs that a config can be held against."""


def tabs_of(job: Job) -> dict[str, str]:
    """A model that only classifies writes no samples."""
    named = {key: label for key, (label, _) in TABS.items()}
    if job.task == "text-classification":
        del named["samples"]
    return named


def filled(request: HttpRequest, job: Job, tab: str) -> dict[str, Any]:
    return TABS[tab][1](request, job)


def result(job: Job) -> dict[str, Any]:
    """What its delta artifact's card says."""
    delta = delta_of(job)
    return card_of(delta) if delta else {}


def _overview(request: HttpRequest, job: Job) -> dict[str, Any]:
    charts = [*held_against(job, charts_for(job)), *pace_charts(job)]
    return _told(_lines(job, "", ""), "overview") | result(job) | {"charts": charts, "page_data": _charts_page(job)}


def _system(request: HttpRequest, job: Job) -> dict[str, Any]:
    return {"charts": system_charts(job), "page_data": _charts_page(job), "shown": shown(job), "judged": judge(job)}


def _efficiency(request: HttpRequest, job: Job) -> dict[str, Any]:
    return own_front(job, signed_in(request)) | {"page_data": _page(job)}


def _first_rows(request: HttpRequest, job: Job) -> dict[str, Any]:
    return {"shown": shown(job), "page_data": _page(job)}


def _samples(request: HttpRequest, job: Job) -> dict[str, Any]:
    """Two moments of the training, chosen in the address; else the first and the newest."""
    rounds, asked = said.rounds(job), request.GET
    first, second = said.at(rounds, asked.get("before"), 0), said.at(rounds, asked.get("after"), -1)
    pinned = "&".join(f"{name}={asked[name]}" for name in ("before", "after") if asked.get(name, "").isdigit())
    return {
        "rounds": rounds,
        "first": first,
        "second": second,
        "pairs": said.pairs(first, second) if first and second else [],
        "pinned": pinned,
        "best_step": job.best_metric["step"] if job.best_metric else None,
        "switched_off": job.spec.get("training", {}).get("sample_prompts") == 0,
        "no_eval": not rounds and not job.dataset_version.rows.get("eval", 1),
        "page_data": _page(job),
    }


def _log(request: HttpRequest, job: Job) -> dict[str, Any]:
    level = request.GET.get("level", "")
    level = level if level in LOUDER else ""
    numbers = [str(number) for number in job.attempts.order_by("number").values_list("number", flat=True)]
    asked = request.GET.get("attempt", "")
    attempt = asked if asked in numbers else ""
    return _told(_lines(job, level, attempt), "log") | {
        "level": level,
        "levels": LOG_LEVELS,
        "attempt": attempt,
        "attempts": numbers if len(numbers) > 1 else [],
        "fixed": bool(attempt) and attempt != numbers[-1],
        "page_data": _page(job),
    }


def _lines(job: Job, level: str, attempt: str) -> Any:
    newest = Event.objects.filter(job=job, kind="log").order_by("-number")
    newest = newest.filter(attempt__number=int(attempt)) if attempt else newest
    return newest.filter(body__level__in=LOUDER[level]) if level else newest


def _told(newest: Any, place: str) -> dict[str, Any]:
    """The end of the log, oldest line first, and the number of the last line that names an error."""
    lines = list(newest[: LOG_LINES[place]])[::-1]
    wrong = (row.number for row in reversed(lines) if doctor.names_error(row.body))
    return {"log": lines, "log_error": next(wrong, None)}


def _checkpoints(request: HttpRequest, job: Job) -> dict[str, Any]:
    return {"checkpoints": saved(job), "page_data": _page(job)}


def _config(request: HttpRequest, job: Job) -> dict[str, Any]:
    """Rendered from the stored spec, never from a form; beside it the same of another job."""
    spec = job.read_spec
    others = list(_comparable(request, job))
    chosen = request.GET.get(AGAINST, str(pinned_id(request) or job.retry_of_id or ""))
    other = next((each for each in others if str(each.pk) == chosen), None)
    return {
        "spec": spec,
        "options": spec.options,
        "training": spec.training,
        "texts": {
            "YAML": as_yaml(job.spec),
            "JSON": json.dumps(job.spec, indent=2, ensure_ascii=False),
            "a command that queues it again": as_command(job, request.build_absolute_uri(reverse("api:create_job"))),
        },
        "others": others,
        "other": other,
        "settings": config_difference([job, other]) if other else [],
        "page_data": _page(job),
    }


def _comparable(request: HttpRequest, job: Job) -> Any:
    """The newest jobs on the same base model, its parent first."""
    seen = Job.objects.visible_to(signed_in(request)).filter(base_model=job.base_model_id).exclude(pk=job.pk)
    newest = list(seen.order_by("-id")[:OTHERS_AT_MOST])
    named = {pk for pk in (pinned_id(request), job.retry_of_id) if pk and all(each.pk != pk for each in newest)}
    if named:
        newest = [*seen.filter(pk__in=named), *newest]
    return newest


def _history(request: HttpRequest, job: Job) -> dict[str, Any]:
    return {
        "changes": job.history.select_related("attempt"),
        "attempts": job.attempts.select_related("worker"),
        "page_data": _page(job),
    }


def _page(job: Job) -> dict[str, Any]:
    return {"job": job.pk, "cursor": job.last_event, "ended": job.ended, "total_steps": job.total_steps}


def _charts_page(job: Job) -> dict[str, Any]:
    """What the page's modules need to fill charts."""
    started_at = job.started_at.timestamp() if job.started_at else None
    return _page(job) | {"ending": _ending(job), "smoothing": SMOOTHING, "started_at": started_at}


def _ending(job: Job) -> dict[str, str] | None:
    """What stands at the end of the lines once nothing follows."""
    if not job.ended:
        return None
    colours = {JobState.SUCCEEDED: "--good-text", JobState.FAILED: "--bad-text"}
    colour = colours.get(JobState(job.state), "--muted")
    return {"words": job.get_state_display().lower(), "colour": colour, "why": job.reason_sentence}


TABS: dict[str, tuple[str, Callable[[HttpRequest, Job], dict[str, Any]]]] = {
    "overview": ("Overview", _overview),
    "system": ("System", _system),
    "efficiency": ("Efficiency", _efficiency),
    "data": ("First rows", _first_rows),
    "samples": ("Samples", _samples),
    "log": ("Log", _log),
    "checkpoints": ("Checkpoints", _checkpoints),
    "config": ("Config", _config),
    "history": ("History", _history),
}
