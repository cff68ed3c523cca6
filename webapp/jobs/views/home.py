"""The queue, which is the first page: what runs, what waits and why, what has ended; and what is pressed on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.paginator import Page, Paginator
from django.db.models import Case, Count, Q, QuerySet, When
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from webapp.accounts.context import current_team, signed_in, teams_of
from webapp.accounts.models import Role, User
from webapp.accounts.permissions import may
from webapp.errors import problem, shows_refusals
from webapp.jobs import reordering, transitions
from webapp.jobs.cancelling import AT_MOST, cancel_all
from webapp.jobs.fair_share import FAIR_SHARE
from webapp.jobs.listed import Columns
from webapp.jobs.models import AT_WORK, ENDED, Job, JobState
from webapp.jobs.outlook import Look, Waiting, look, queue_order
from webapp.jobs.refusing import LaunchRefused
from webapp.jobs.views.starter import first_steps
from workers.protocol import DEFAULT_POOL

PAGE_SIZE = 50
SHOWN_AT_MOST = 60
"""Of jobs that are at work or paused; the rest stands in the list of all jobs."""
RECENT_SHOWN = 8
BESIDE = {"before": reordering.move_before, "after": reordering.move_after}
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
    census = Census.of(jobs_here(request, Filters(team=filters.team)))
    if filters == Filters() and not census.rows:
        return render(request, "jobs/first_run.html", first_steps(request))
    part = request.headers.get("HX-Target") == "queue"
    return render(request, "jobs/_queue.html" if part else "jobs/home.html", _queue(request, filters, census))


@dataclass(frozen=True)
class Census:
    """How many jobs each person has in each state, read in one go."""

    rows: list[dict[str, Any]]

    @classmethod
    def of(cls, jobs: QuerySet[Job]) -> Census:
        today = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
        by = ("state", "created_by", "created_by__username", "created_by__first_name", "created_by__last_name")
        counted = jobs.select_related(None).order_by().values(*by)
        return cls(list(counted.annotate(jobs=Count("pk"), today=Count("pk", filter=Q(ended_at__gte=today)))))

    @property
    def people(self) -> dict[str, str]:
        """Username to the name that is shown, of whoever has jobs here."""
        named = (row for row in self.rows if row["created_by"])
        names = {row["created_by__username"]: _full_name(row) or row["created_by__username"] for row in named}
        return dict(sorted(names.items()))

    def id_of(self, username: str) -> int | None:
        return next((row["created_by"] for row in self.rows if row["created_by__username"] == username), None)

    def count(self, *states: str, person: str = "", today: bool = False) -> int:
        rows = (row for row in self.rows if row["state"] in states and person in ("", row["created_by__username"]))
        return sum(row["today" if today else "jobs"] for row in rows)


def _full_name(row: dict[str, Any]) -> str:
    return f"{row['created_by__first_name']} {row['created_by__last_name']}".strip()


def _queue(request: HttpRequest, filters: Filters, census: Census) -> dict[str, Any]:
    user, jobs, seen = signed_in(request), jobs_here(request, filters), look()
    page = _page_of_queued(request, filters, census, seen)
    here = jobs.filter(Q(state__in=(*AT_WORK, JobState.PAUSED)) | Q(pk__in=page.object_list))
    queued_first = here.order_by(Case(When(state=JobState.QUEUED, then=0), default=1), "id")
    rows = {job.pk: job for job in queued_first[: PAGE_SIZE + SHOWN_AT_MOST]}
    places = seen.waiting(page.object_list, user)
    context: dict[str, Any] = {
        "filters": filters,
        "sections": SECTIONS,
        "shown": [section for section in SECTIONS if filters.shows(section)],
        "people": census.people,
        "counts": _counts(census, filters.person),
        "workers": [worker for worker in seen.queue.workers.values() if worker.online and worker.is_visible_to(user)],
        "page_of": page,
        "queued": _rows([rows[pk] for pk in page.object_list if pk in rows], user, places),
        "running": _rows([job for job in rows.values() if job.at_work], user),
        "paused": _rows([job for job in rows.values() if job.state == JobState.PAUSED], user),
        "recent": jobs.filter(state__in=ENDED).prefetch_related("artifacts").order_by("-ended_at")[:RECENT_SHOWN],
        "columns": Columns(),
        "fair_share": FAIR_SHARE,
    }
    return context | {
        "may_choose": any(row.actions for name in ("running", "queued", "paused") for row in context[name]),
        "filtered": filters != Filters(),
        "nothing": not any(context[section] for section in context["shown"] if section != "ended"),
    }


def _page_of_queued(request: HttpRequest, filters: Filters, census: Census, seen: Look) -> Page[int]:
    """Ids of what waits here, in the order in which it will start; other pools after the default one."""
    teams = {team.pk for team in teams_of(request)}
    here = current_team(request)
    person = census.id_of(filters.person) if filters.person else None
    wanted = [
        job
        for job in seen.ordered
        if (job.team_id in teams if filters.team else here is not None and job.team_id == here.pk)
        and (not filters.person or job.created_by_id == person)
    ]
    wanted.sort(key=lambda job: (job.pool != DEFAULT_POOL, job.pool))  # stable: the order within a pool stays
    return Paginator([job.id for job in wanted], PAGE_SIZE).get_page(request.GET.get("page"))


def _rows(jobs: Iterable[Job], user: User, places: dict[int, Waiting] | None = None) -> list[Row]:
    return [
        Row(job, transitions.actions(job, user), (places or {}).get(job.pk), may(user, job.team_id, Role.MAINTAINER))
        for job in jobs
    ]


def _counts(census: Census, person: str) -> dict[str, int]:
    return {
        "running": census.count(*AT_WORK, person=person),
        "queued": census.count(JobState.QUEUED, person=person),
        "paused": census.count(JobState.PAUSED, person=person),
        "failed_today": census.count(JobState.FAILED, person=person, today=True),
    }


# ---- What is pressed on the queue ----------------------------------------------------------------


def back_to_queue(request: HttpRequest) -> HttpResponse:
    """To the queue as the person was looking at it; the form carries its filters."""
    query = Filters.of(request.POST).query
    return redirect(f"{reverse('jobs:home')}?{query}" if query else "jobs:home")


@require_POST
@shows_refusals
def move(request: HttpRequest, job_id: int) -> HttpResponse:
    """Up or down one place, or `before` or `after` another job of the team, from dragging."""
    user = signed_in(request)
    seen = Job.objects.visible_to(user).select_related("team")
    job = get_object_or_404(seen, pk=job_id)
    side = next((side for side in BESIDE if request.POST.get(side)), None)
    try:
        if side:
            named = request.POST[side]
            other = get_object_or_404(
                seen, pk=int(named) if named.isascii() and named.isdigit() and len(named) < 16 else 0
            )
            BESIDE[side](job, other, user)
            if side == "before":
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
