"""Whose turn it is on one worker: the first job of the order that fits it, or the one that its slots are held for."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection
from django.db.models import Q, QuerySet

from webapp.accounts.models import Team
from webapp.jobs import quotas
from webapp.jobs.fair_share import Group, shares_now, turns
from webapp.jobs.fitting import (
    Offer,
    better_elsewhere,
    lapsed_reservation,
    live_reservations,
    queued_for,
    within,
    within_q,
)
from webapp.jobs.locking import first_unlocked
from webapp.jobs.models import Job, JobState, Worker


@dataclass(frozen=True)
class Choice:
    """What a claim gets now, or else the job for which the worker is kept free from now on."""

    job: Job | None = None
    reserve: Job | None = None


def next_for(worker: Worker, offer: Offer, lock: bool = False) -> Choice:
    """The job whose turn it is. With `lock`, its row stays locked until the transaction ends."""
    limits = quotas.limits_of_all()
    closed = {team for team, each in limits.items() if each.closed_on(worker.pk, offer.cuda)}
    jobs = queued_for(worker).exclude(team_id__in=closed)
    jobs = jobs.exclude(pk__in=better_elsewhere(worker))
    while True:
        choice = _choose(jobs, worker, offer, lock)
        team = choice.job.team_id if choice.job else None
        counted = team in limits and limits[team].jobs_at_once is not None
        if not (lock and counted and team) or quotas.still_open(team):
            return choice
        jobs = jobs.exclude(team_id=team)


def _choose(jobs: QuerySet[Job], worker: Worker, offer: Offer, lock: bool) -> Choice:
    """A job for several GPUs that comes first but finds too few of them free holds the worker until it fits.

    Only a job of higher priority goes before it then. Were fair shares to go on deciding, slots that come free one by
    one would go to others for ever.
    """
    kept = list(Job.objects.filter(reserved_on=worker).values_list("pk", flat=True))
    held = jobs.filter(pk__in=kept).order_by("-priority", "pk").first() if kept else None
    if held is not None and not within(offer.levels_later, held.gpus, held.least_memory_bytes):
        held = None  # what it waited for does not come back: somebody else uses those devices
    if held is None:
        return _taken_or_reserved(_first(jobs, worker, offer, lock), offer)
    first = _first(jobs.filter(priority__gt=held.priority), worker, offer, lock)
    if first is not None:
        return _taken_or_reserved(first, offer)
    if not within(offer.levels, held.gpus, held.least_memory_bytes):
        return Choice(reserve=held)
    return Choice(job=first_unlocked(jobs.filter(pk=held.pk)) if lock else held)


def _taken_or_reserved(job: Job | None, offer: Offer) -> Choice:
    if job is None or within(offer.levels, job.gpus, job.least_memory_bytes):
        return Choice(job=job)
    return Choice(reserve=job)


def _first(jobs: QuerySet[Job], worker: Worker, offer: Offer, lock: bool) -> Job | None:
    """The first in the queue's order that fits now, or would once what runs here has ended.

    The order is over groups (priority, team, person), of which there are few however long the queue is.
    """
    fitting = jobs.filter(within_q(offer.levels) | _reservable(worker, offer))
    groups = fitting.order_by().values_list("priority", "team_id", "created_by_id").distinct()
    for tied in turns(groups, shares_now()):
        rows = fitting.filter(_in_groups(tied)).order_by("queue_position", "pk")
        first = first_unlocked(rows) if lock else rows.first()
        if first is not None:
            return first
    return None


def _reservable(worker: Worker, offer: Offer) -> Q:
    """Jobs for several GPUs that fit this worker once its busy slots are free, of teams that keep no other one free.

    One worker a team: else one person's jobs for two GPUs would hold every worker there is while their share is best.
    """
    if not offer.busy:
        return Q(pk__in=[])
    unclaimed = Q(reserved_on=None) | Q(reserved_on=worker) | lapsed_reservation()
    keeping = list(_kept_elsewhere(worker).values_list("team_id", flat=True))
    return Q(gpus__gt=1) & within_q(offer.levels_later) & unclaimed & ~Q(team_id__in=keeping)


def _kept_elsewhere(worker: Worker) -> QuerySet[Job]:
    return live_reservations().exclude(reserved_on=worker)


def _in_groups(groups: list[Group]) -> Q:
    """All of one priority: the tie of their shares is broken by the place in the queue."""
    by_team: dict[int, list[int | None]] = {}
    for _, team, person in groups:
        by_team.setdefault(team, []).append(person)
    where = Q(pk__in=[])
    for team, people in by_team.items():
        named = Q(created_by__in=[person for person in people if person is not None])
        where |= Q(team=team) & (named | Q(created_by=None) if None in people else named)
    return Q(priority=groups[0][0]) & where


def keep_free(worker: Worker, job: Job) -> None:
    """Reserve the worker for this job, and for no other; unless its team keeps another one free by now."""
    give_up_reservation(worker, besides=job)
    Team.objects.select_for_update(no_key=True).get(pk=job.team_id)  # two claims at once do not both reserve for it
    if _kept_elsewhere(worker).filter(team_id=job.team_id).exists():
        return
    Job.objects.filter(pk=job.pk, state=JobState.QUEUED).exclude(reserved_on=worker).update(reserved_on=worker)


def give_up_reservation(worker: Worker, besides: Job | None = None) -> None:
    """What the worker was kept free for is no longer next."""
    rows = Job.objects.filter(reserved_on=worker)
    if besides is not None:
        rows = rows.exclude(pk=besides.pk)
    if connection.features.has_select_for_update_skip_locked:
        rows = rows.select_for_update(skip_locked=True)  # another claim is just starting it: it lets go by itself
    if ids := list(rows.order_by().values_list("pk", flat=True)):
        Job.objects.filter(pk__in=ids).update(reserved_on=None)
