"""Workers: what each is, has and does, and one-time keys for new ones."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_POST

from webapp.accounts.context import current_team, signed_in
from webapp.accounts.models import AuditEntry, Role, User
from webapp.accounts.permissions import may, require
from webapp.errors import shows_refusals
from webapp.jobs import enrolling
from webapp.jobs.device_history import HEIGHT, WIDTH, Hour, last_hours
from webapp.jobs.enrolling import make_key
from webapp.jobs.models import Attempt, Worker
from workers.protocol import LAYERS

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")


@dataclass(frozen=True)
class Card:
    """One worker on the page; each device with its last hour, and whether the person may drain or remove it."""

    worker: Worker
    devices: list[tuple[dict[str, Any], Hour | None]]
    may_manage: bool


def worker_list(request: HttpRequest) -> HttpResponse:
    """Each worker with its devices, load and attempts; the fragment is fetched again while the page is open."""
    user, here = signed_in(request), current_team(request)
    context = {
        "cards": _cards(user),
        "seen_teams": set(user.roles),
        "may_enrol": here is not None and may(user, here.pk, Role.MAINTAINER),
        "box": f"0 0 {WIDTH} {HEIGHT}",
        "layers": LAYERS,
    }
    part = request.headers.get("HX-Target") == "workers"
    return render(request, "jobs/_workers.html" if part else "jobs/workers.html", context)


def _cards(user: User) -> list[Card]:
    going_on = Attempt.objects.exclude(state=Attempt.State.ENDED).select_related("job__team")
    rows = Worker.objects.visible_to(user).select_related("team")
    workers = list(rows.prefetch_related(Prefetch("attempts", going_on, to_attr="going_on")))
    hours = last_hours(workers)
    return [
        Card(
            worker,
            [(device, hours.get(worker.pk, {}).get(device["index"])) for device in worker.report.get("devices", [])],
            may(user, worker.team_id, Role.MAINTAINER),
        )
        for worker in workers
    ]


@never_cache
@sensitive_variables("key")
@shows_refusals
def keys(request: HttpRequest) -> HttpResponse:
    """The card that makes a one-time key; the key is in the POST's answer and nowhere else."""
    here = current_team(request)
    user = signed_in(request)
    require(user, here.pk if here else None, Role.MAINTAINER)
    context = {"site_url": settings.SITE_URL, "https": settings.SITE_URL.startswith("https://")}
    if request.method != "POST":
        return _keys_page(request, context)
    name = request.POST.get("name", "").strip()
    fault = _fault(name)
    if fault:
        return _keys_page(request, context | {"name": name, "fault": fault})
    worker, key = make_key(name, here)
    AuditEntry.note(user, here, "worker.key", worker.pk, name=name)
    return _keys_page(request, context | {"key": key, "worker": worker})


def _keys_page(request: HttpRequest, context: dict[str, object]) -> HttpResponse:
    part = request.headers.get("HX-Request")
    return render(request, "jobs/_worker_keys.html" if part else "jobs/worker_keys.html", context)


def _fault(name: str) -> str:
    if not NAME.fullmatch(name):
        return "Use small letters, digits, dots and dashes, such as gpu-1; at most 80."
    if Worker.objects.filter(name=name).exists():
        return f"There is a worker named {name} already. Choose another name."
    return ""


def _worker(request: HttpRequest, worker_id: int) -> Worker:
    return get_object_or_404(Worker.objects.visible_to(signed_in(request)), pk=worker_id)


@require_POST
@shows_refusals
def drain(request: HttpRequest, worker_id: int) -> HttpResponse:
    """Let it finish what it has and take no more, or take jobs again."""
    worker = _worker(request, worker_id)
    enrolling.drain(worker, signed_in(request), request.POST.get("drain") == "1")
    now = "finishes what it has and takes no more" if worker.drain else "takes jobs again"
    messages.success(request, f"Worker {worker.name} {now}.")
    return redirect("jobs:workers")


@require_POST
@shows_refusals
def remove(request: HttpRequest, worker_id: int) -> HttpResponse:
    """Its token dies; what it has goes back to the queue."""
    worker = _worker(request, worker_id)
    enrolling.remove(worker, signed_in(request))
    messages.success(request, f"Worker {worker.name} is removed. Its jobs go on elsewhere from their checkpoints.")
    return redirect("jobs:workers")
