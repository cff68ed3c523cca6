"""Moves a queued job within the queue: another priority, or another place. Only maintainers of its team may.

Places decide between the jobs of one person and priority, and between people whose shares are even; to go before
everything else, a job needs a higher priority. A pause holds a job, a resume puts it at the end.
"""

from __future__ import annotations

from django.db import transaction
from django.db.models import Q, QuerySet

from webapp.accounts.models import AuditEntry, Role, User
from webapp.accounts.permissions import require
from webapp.jobs.models import ENDED, Job, JobState
from webapp.jobs.refusing import FieldProblem, LaunchRefused
from webapp.jobs.transitions import NotNow


def set_priority(job: Job, user: User, priority: int) -> Job:
    """Raises NotAllowed, NotNow."""
    with transaction.atomic():
        job = _movable(job, user)
        job.priority = priority
        return _moved(job, user, priority=priority)


def move_up(job: Job, user: User) -> Job:
    """Before the job of the same person and priority that is directly ahead; the first stays where it is."""
    with transaction.atomic():
        job = _movable(job, user)
        ahead = _row_of(job).filter(_before(job)).order_by("-queue_position", "-pk").first()
        return job if ahead is None else _placed(job, user, before=ahead)


def move_down(job: Job, user: User) -> Job:
    """After the one directly behind; the last stays where it is."""
    with transaction.atomic():
        job = _movable(job, user)
        behind = _row_of(job).filter(_after(job)).order_by("queue_position", "pk").first()
        return job if behind is None else _placed(job, user, after=behind)


def move_before(job: Job, other: Job, user: User) -> Job:
    """To the place directly before another queued job of the same team, pool and priority (drag and drop)."""
    with transaction.atomic():
        job = _movable(job, user)
        return _placed(job, user, before=_fitting_neighbour(job, other, "before"))


def move_after(job: Job, other: Job, user: User) -> Job:
    with transaction.atomic():
        job = _movable(job, user)
        return _placed(job, user, after=_fitting_neighbour(job, other, "after"))


def move_to(job: Job, user: User, position: int) -> Job:
    """To a place from 1 among the queued jobs of its team, pool and priority; beyond the last: to the end."""
    with transaction.atomic():
        job = _movable(job, user)
        others = list(_peers(job).order_by("queue_position", "pk"))
        if not others:
            return job
        if position <= len(others):
            return _placed(job, user, before=others[position - 1])
        return _placed(job, user, after=others[-1])


def _movable(job: Job, user: User) -> Job:
    """The row, locked. Raises NotAllowed, NotNow."""
    require(user, job.team_id, Role.MAINTAINER)
    job = Job.objects.select_for_update().get(pk=job.pk)
    if job.state != JobState.QUEUED:
        raise NotNow(job, "moved")
    return job


def _peers(job: Job) -> QuerySet[Job]:
    """The other queued jobs among which its place means something."""
    rows = Job.objects.filter(state=JobState.QUEUED, pool=job.pool, team_id=job.team_id, priority=job.priority)
    return rows.exclude(pk=job.pk)


def _row_of(job: Job) -> QuerySet[Job]:
    return _peers(job).filter(created_by_id=job.created_by_id)


def _fitting_neighbour(job: Job, other: Job, field: str) -> Job:
    """Raises LaunchRefused where a place beside that job would say nothing."""
    if other.pk == job.pk:
        _refuse(field, "A job cannot be moved beside itself.", "Name another queued job.")
    if other.state != JobState.QUEUED:
        _refuse(field, f"Job {other.pk} is {other.state}, not queued.", "Name a queued job.")
    if (other.team_id, other.pool) != (job.team_id, job.pool):
        _refuse(field, f"Job {other.pk} is of another team or pool.", "Name a job of the same team and pool.")
    if other.priority != job.priority:
        message = f"Job {other.pk} has priority {other.priority}, this one {job.priority}: priority goes before place."
        _refuse(field, message, f"Set this job's priority to {other.priority} first.")
    return other


def _refuse(field: str, message: str, hint: str) -> None:
    raise LaunchRefused([FieldProblem(field, "job.place", message, hint)])


def _placed(job: Job, user: User, before: Job | None = None, after: Job | None = None) -> Job:
    """Between a neighbour and the one on its other side; the pool is renumbered once no number lies between them."""
    position = _between(job, before, after)
    if position is None:
        _renumber(job.pool)
        for each in (job, before, after):
            if each is not None:
                each.refresh_from_db(fields=["queue_position"])
        position = _between(job, before, after)
    job.queue_position = position or 0.0
    return _moved(job, user, **{"before": before.pk} if before else {"after": after.pk if after else None})


def _between(job: Job, before: Job | None, after: Job | None) -> float | None:
    """A position strictly between; None where floats have run out."""
    if before is not None:
        ahead = _pool(job).filter(_before(before)).order_by("-queue_position", "-pk").first()
        return _middle(ahead.queue_position if ahead else before.queue_position - 2, before.queue_position)
    assert after is not None
    behind = _pool(job).filter(_after(after)).order_by("queue_position", "pk").first()
    return _middle(after.queue_position, behind.queue_position if behind else after.queue_position + 2)


def _middle(low: float, high: float) -> float | None:
    middle = (low + high) / 2
    return middle if low < middle < high else None


def _pool(job: Job) -> QuerySet[Job]:
    """Everything in the pool that has a place, or gets its own back; so nobody's order changes by a move."""
    return Job.objects.filter(pool=job.pool).exclude(state__in=ENDED).exclude(pk=job.pk)


def _before(job: Job) -> Q:
    same = Q(queue_position=job.queue_position, pk__lt=job.pk)
    return Q(queue_position__lt=job.queue_position) | same


def _after(job: Job) -> Q:
    same = Q(queue_position=job.queue_position, pk__gt=job.pk)
    return Q(queue_position__gt=job.queue_position) | same


def _renumber(pool: str) -> None:
    """Whole numbers again, in the same order."""
    rows = list(Job.objects.filter(pool=pool).exclude(state__in=ENDED).order_by("queue_position", "pk").only("pk"))
    for place, row in enumerate(rows, start=1):
        row.queue_position = float(place)
    Job.objects.bulk_update(rows, ["queue_position"], batch_size=500)


def _moved(job: Job, user: User, **detail: int | None) -> Job:
    """Written only while the job is still queued. Raises NotNow."""
    changed = Job.objects.filter(pk=job.pk, state=JobState.QUEUED).update(
        priority=job.priority, queue_position=job.queue_position
    )
    if not changed:
        job.refresh_from_db()
        raise NotNow(job, "moved")
    AuditEntry.note(user, job.team, "job.move", job.pk, **detail)
    return job
