"""The queue, which is the first page: what runs, what waits and why, what has ended; and what is pressed on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.paginator import Page, Paginator
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from webapp.accounts.context import current_team, signed_in
from webapp.accounts.models import Role, User
from webapp.accounts.permissions import may
from webapp.errors import problem, shows_refusals
from webapp.jobs import reordering, transitions
from webapp.jobs.cancelling import AT_MOST, cancel_all
from webapp.jobs.fair_share import FAIR_SHARE
from webapp.jobs.models import AT_WORK, ENDED, Job, JobState, Worker
from webapp.jobs.outlook import Waiting, outlook, queue_order
from webapp.jobs.refusing import LaunchRefused
from webapp.jobs.views.starter import first_steps
from workers.protocol import DEFAULT_POOL

PAGE_SIZE = 50
RUNNING_SHOWN = 30
PAUSED_SHOWN = 20
RECENT_SHOWN = 8
SECTIONS = {"running": "Running", "queued": "Queued", "paused": "Paused", "ended": "Recent"}
EVERY_TEAM = "all"


@dataclass(frozen=True)
class Filters:
    """What of the queue a person wants to see; all of it stands in the address."""

    team: str = ""
    """Empty: the team one works in; `all`: every team of the person."""
    person: str = ""
    state: str = ""
    """A key of SECTIONS, or empty for all of them."""

    @classmethod
    def of(cls, data: QueryDict) -> Filters:
        state = data.get("state", "")
        return cls(
            EVERY_TEAM if data.get("team") == EVERY_TEAM else "",
            data.get("person", "").strip()[:150],
            state if state in SECTIONS else "",
        )

    @property
    def query(self) -> str:
        data = QueryDict(mutable=True)
        data.update({name: value for name, value in vars(self).items() if value})
        return data.urlencode()

    def shows(self, section: str) -> bool:
        return self.state in ("", section)


@dataclass(frozen=True)
class Row:
    """A job of the queue with what this person may do with it now, and where it stands if it waits."""

    job: Job
    actions: list[str]
    place: Waiting | None = None
    may_move: bool = False


def jobs_here(request: HttpRequest, filters: Filters | None = None) -> QuerySet[Job]:
    """Jobs of the team the person works in (or of all their teams), with what a row shows."""
    filters = filters or Filters()
    rows = Job.objects.visible_to(signed_in(request))
    if not filters.team:
        rows = rows.filter(team=current_team(request))
    if filters.person:
        rows = rows.filter(created_by__username=filters.person)
    return rows.for_list().select_related("current_attempt__worker")


def home(request: HttpRequest) -> HttpResponse:
    """What runs, waits and has ended; without any job, the three first steps."""
    filters = Filters.of(request.GET)
    if filters == Filters() and not jobs_here(request).exists():
        return render(request, "jobs/first_run.html", first_steps(request))
    part = request.headers.get("HX-Target") == "queue"
    return render(request, "jobs/_queue.html" if part else "jobs/home.html", _queue(request, filters))


def _queue(request: HttpRequest, filters: Filters) -> dict[str, Any]:
    user, jobs = signed_in(request), jobs_here(request, filters)
    page, queued = _queued(request, jobs)
    context: dict[str, Any] = {
        "filters": filters,
        "sections": SECTIONS,
        "shown": [section for section in SECTIONS if filters.shows(section)],
        "people": _people(request, filters),
        "counts": _counts(jobs),
        "workers": [worker for worker in Worker.objects.visible_to(user) if worker.online],
        "page_of": page,
        "queued": queued,
        "running": _rows(jobs.filter(state__in=AT_WORK).order_by("id")[:RUNNING_SHOWN], user),
        "paused": _rows(jobs.filter(state=JobState.PAUSED)[:PAUSED_SHOWN], user),
        "recent": jobs.filter(state__in=ENDED).prefetch_related("artifacts").order_by("-ended_at")[:RECENT_SHOWN],
        "fair_share": FAIR_SHARE,
    }
    return context | {
        "may_choose": any(row.actions for row in queued),
        "filtered": filters != Filters(),
        "nothing": not any(context[section] for section in context["shown"] if section != "ended"),
    }


def _queued(request: HttpRequest, jobs: QuerySet[Job]) -> tuple[Page[int], list[Row]]:
    """One page of what waits, in the order in which it will start."""
    user = signed_in(request)
    every = jobs.filter(state=JobState.QUEUED).select_related(None).only("pk", "state")
    waiting = outlook(every, user)
    ordered = sorted(waiting.values(), key=lambda each: (each.pool != DEFAULT_POOL, each.pool, each.queue_position))
    page = Paginator([each.job_id for each in ordered], PAGE_SIZE).get_page(request.GET.get("page"))
    found = jobs.in_bulk(list(page.object_list))
    return page, _rows([found[pk] for pk in page.object_list if pk in found], user, waiting)


def _rows(jobs: Iterable[Job], user: User, waiting: dict[int, Waiting] | None = None) -> list[Row]:
    return [
        Row(job, transitions.actions(job, user), (waiting or {}).get(job.pk), may(user, job.team_id, Role.MAINTAINER))
        for job in jobs
    ]


def _counts(jobs: QuerySet[Job]) -> dict[str, int]:
    today = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    return jobs.order_by().aggregate(
        running=Count("pk", filter=Q(state__in=AT_WORK)),
        queued=Count("pk", filter=Q(state=JobState.QUEUED)),
        paused=Count("pk", filter=Q(state=JobState.PAUSED)),
        failed_today=Count("pk", filter=Q(state=JobState.FAILED, ended_at__gte=today)),
    )


def _people(request: HttpRequest, filters: Filters) -> list[User]:
    """Whoever has jobs where the person looks."""
    seen = jobs_here(request, Filters(team=filters.team)).order_by()
    return list(User.objects.filter(pk__in=seen.values("created_by")).order_by("username"))


# ---- What is pressed on the queue ----------------------------------------------------------------


def back_to_queue(request: HttpRequest) -> HttpResponse:
    """To the queue as the person was looking at it; the form carries its filters."""
    query = Filters.of(request.POST).query
    return redirect(f"{reverse('jobs:home')}?{query}" if query else "jobs:home")


@require_POST
@shows_refusals
def move(request: HttpRequest, job_id: int) -> HttpResponse:
    """Up or down one place, or before another job of the team (`before`, from dragging)."""
    user = signed_in(request)
    seen = Job.objects.visible_to(user).select_related("team")
    job = get_object_or_404(seen, pk=job_id)
    before = request.POST.get("before", "")
    try:
        if before:
            other = get_object_or_404(seen, pk=int(before) if before.isascii() and before.isdigit() else 0)
            reordering.move_before(job, other, user)
            _explain(request, job, other)
        else:
            (reordering.move_down if request.POST.get("to") == "down" else reordering.move_up)(job, user)
    except transitions.NotNow as error:
        return problem(request, 409, "Not possible in this state", str(error))
    except LaunchRefused as error:
        messages.error(request, str(error))
    return back_to_queue(request)


def _explain(request: HttpRequest, job: Job, other: Job) -> None:
    """Fair shares come before places: say so where a move between two people's jobs changed nothing to be seen."""
    order = queue_order(job.pool)
    if job.pk in order and other.pk in order and order.index(job.pk) > order.index(other.pk):
        text = "It has its new place, but shares between people come first. To let it go before, raise its priority."
        messages.info(request, text)


@require_POST
@shows_refusals
def cancel_chosen(request: HttpRequest) -> HttpResponse:
    """Cancel every chosen job that can still be cancelled, and say what became of the rest."""
    ids = [int(text) for text in request.POST.getlist("job") if text.isascii() and text.isdigit() and len(text) < 16]
    user = signed_in(request)
    ends = Counter(each.outcome for each in cancel_all(ids[:AT_MOST], Job.objects.visible_to(user), user))
    done = ends["cancelled"] + ends["stopping"]
    rest = ends.total() - done
    text = f"{done} job{'' if done == 1 else 's'} cancelled." + (f" {rest} could not be cancelled." if rest else "")
    (messages.success if done and not rest else messages.warning)(request, text if ends else "No job was chosen.")
    return back_to_queue(request)
