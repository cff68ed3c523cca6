"""What a team may have queued, at work at once, and use of GPUs in a month; empty columns mean no limit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Q, Sum
from django.utils import timezone

from webapp.accounts.models import Team, User
from webapp.jobs.fair_share import elapsed_within
from webapp.jobs.fitting import live_reservations, trains_on_cpus_only
from webapp.jobs.models import AT_WORK, Attempt, Job, JobState
from webapp.jobs.refusing import FieldProblem, LaunchRefused


def month_of(now: datetime) -> tuple[datetime, datetime]:
    """The calendar month (UTC) around a moment: its first instant and the next one's."""
    begin = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return begin, begin.replace(year=begin.year + begin.month // 12, month=begin.month % 12 + 1)


def gpu_hours_used(team_ids: Iterable[int], now: datetime | None = None) -> dict[int, float]:
    """Elapsed hours x CUDA devices over the attempts of this calendar month, by team."""
    now = now or timezone.now()
    begin, _ = month_of(now)
    used = dict.fromkeys(team_ids, 0.0)
    if not used:
        return used
    rows = Attempt.objects.filter(Q(ended_at=None) | Q(ended_at__gt=begin), job__team__in=used)
    on_gpus = rows.filter(devices__0__kind="cuda").order_by().values_list("job__team_id", "job__gpus")
    for team, gpus, elapsed in on_gpus.annotate(elapsed=Sum(elapsed_within(begin, now))):
        used[team] += elapsed.total_seconds() / 3600 * gpus
    return used


@dataclass(frozen=True)
class Limits:
    """Where one team stands against the limits that a claim has to keep."""

    team_id: int
    jobs_at_once: int | None
    jobs_at_work: int
    gpu_hours_a_month: float | None
    gpu_hours_used: float
    kept_free: tuple[int, ...] = ()
    """The workers kept free for one of its jobs, by id."""

    def closed_on(self, worker_id: int, cuda: bool) -> bool:
        """Whether this worker may start none of its jobs now; claim and outlook both ask here."""
        return self.full_on(worker_id) or (self.spent and cuda)

    def full_on(self, worker_id: int) -> bool:
        """A worker kept free for it counts as a job at work, except on that worker: there the job is to start."""
        elsewhere = sum(kept != worker_id for kept in self.kept_free)
        return self.jobs_at_once is not None and self.jobs_at_work + elsewhere >= self.jobs_at_once

    @property
    def spent(self) -> bool:
        return self.gpu_hours_a_month is not None and self.gpu_hours_used >= self.gpu_hours_a_month


def limits_of_all() -> dict[int, Limits]:
    """Of the teams that have such a limit; without any, this is one query."""
    limited = Q(jobs_at_once__isnull=False) | Q(gpu_hours_a_month__isnull=False)
    return limits_of(Team.objects.filter(limited).order_by())


def limits_of(teams: Iterable[Team]) -> dict[int, Limits]:
    """By team, for those of these that have a limit."""
    limited = [team for team in teams if team.jobs_at_once is not None or team.gpu_hours_a_month is not None]
    used = gpu_hours_used(team.pk for team in limited if team.gpu_hours_a_month is not None)
    at_work = {team.pk: jobs_at_work(team.pk) for team in limited if team.jobs_at_once is not None}
    kept: dict[int, tuple[int, ...]] = {}
    for team_id, worker_id in live_reservations().filter(team__in=at_work).values_list("team_id", "reserved_on_id"):
        kept[team_id] = (*kept.get(team_id, ()), worker_id or 0)
    return {
        team.pk: Limits(
            team_id=team.pk,
            jobs_at_once=team.jobs_at_once,
            jobs_at_work=at_work.get(team.pk, 0),
            gpu_hours_a_month=team.gpu_hours_a_month,
            gpu_hours_used=used.get(team.pk, 0.0),
            kept_free=kept.get(team.pk, ()),
        )
        for team in limited
    }


def jobs_at_work(team_id: int) -> int:
    return Job.objects.filter(team_id=team_id, state__in=AT_WORK).count()


def still_open(team_id: int) -> bool:
    """Asked again with the team's row locked, so that two claims at once cannot both take its last place."""
    team = Team.objects.select_for_update(no_key=True).get(pk=team_id)
    return team.jobs_at_once is None or jobs_at_work(team_id) < team.jobs_at_once


def spent_sentence(hours: float, used: float, ends: datetime) -> str:
    return (
        f"The team has used {used:,.1f} of its {hours:,.1f} GPU hours this month; the count starts anew on "
        f"{ends:%Y-%m-%d} (UTC)."
    )


def require_room(team: Team, user: User, pool: str) -> None:
    """Raise LaunchRefused unless one more job may be queued by this person; call it inside the transaction."""
    team = Team.objects.select_for_update(no_key=True).get(pk=team.pk)  # two at once do not both get the last place
    problems = [*_queue_problems(team, user), *_gpu_hours_problems(team, pool)]
    if problems:
        raise LaunchRefused(problems)


@dataclass(frozen=True)
class Usage:
    """What is used of one limit; without a limit `of` is None."""

    name: str
    used: float
    of: float | None


def usage(team: Team, user: User) -> list[Usage]:
    """How a team and this person of it stand against every limit, for the team's page."""
    of_team, own = queued_now(team, user)
    hours = gpu_hours_used([team.pk])[team.pk]
    return [
        Usage("Jobs queued or paused", of_team, team.queued_jobs_at_most),
        Usage("Of them yours", own, team.queued_jobs_a_person),
        Usage("Jobs at work", jobs_at_work(team.pk), team.jobs_at_once),
        Usage("GPU hours this month", round(hours, 1), team.gpu_hours_a_month),
    ]


def queued_now(team: Team, user: User) -> tuple[int, int]:
    """How many jobs of the team are queued or paused, and how many of them are this person's.

    A paused one keeps its place here: a resume asks for no room, so a pause must not make any.
    """
    queued = Job.objects.filter(team=team, state__in=(JobState.QUEUED, JobState.PAUSED))
    counted = queued.aggregate(of_team=Count("pk"), own=Count("pk", filter=Q(created_by=user)))
    return counted["of_team"], counted["own"]


def _queue_problems(team: Team, user: User) -> Iterable[FieldProblem]:
    of_team, own = queued_now(team, user)
    if of_team >= team.queued_jobs_at_most:
        message = f"Team {team.name} has {of_team:,} of {team.queued_jobs_at_most:,} allowed jobs queued or paused."
        hint = "Wait until some have started, cancel some, or ask the site's admin to raise the limit."
        yield FieldProblem("team", "job.team_queue_full", message, hint)
    if own >= team.queued_jobs_a_person:
        most = team.queued_jobs_a_person
        message = f"You have {own:,} of {most:,} allowed jobs queued or paused in team {team.name}."
        hint = "Wait until some have started, cancel some, or ask the site's admin to raise the limit."
        yield FieldProblem("team", "job.own_queue_full", message, hint)


def _gpu_hours_problems(team: Team, pool: str) -> Iterable[FieldProblem]:
    """The month's hours are used up, and the job could get a GPU."""
    hours, now = team.gpu_hours_a_month, timezone.now()
    if hours is None or trains_on_cpus_only(pool, team.pk):
        return
    used = gpu_hours_used([team.pk], now)[team.pk]
    if used >= hours:
        hint = "Wait until then, or ask the site's admin to raise the limit."
        yield FieldProblem("team", "job.gpu_hours_used", spent_sentence(hours, used, month_of(now)[1]), hint)
