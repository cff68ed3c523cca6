"""What a team may have queued, at work at once, and use of GPUs in a month; empty columns mean no limit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, Sum
from django.utils import timezone

from webapp.accounts.models import Team, User
from webapp.jobs.fair_share import elapsed_within
from webapp.jobs.models import AT_WORK, Attempt, Job, JobState
from webapp.jobs.refusing import FieldProblem


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

    @property
    def full(self) -> bool:
        return self.jobs_at_once is not None and self.jobs_at_work >= self.jobs_at_once

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
    return {
        team.pk: Limits(
            team.pk, team.jobs_at_once, at_work.get(team.pk, 0), team.gpu_hours_a_month, used.get(team.pk, 0.0)
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


def queue_problems(team: Team, user: User, more: int = 1) -> list[FieldProblem]:
    """Why so many more jobs may not be queued now: numbers and fix."""
    queued = Job.objects.filter(team=team, state=JobState.QUEUED)
    problems = []
    of_team = queued.count()
    if of_team + more > team.queued_jobs_at_most:
        message = f"Team {team.name} has {of_team:,} jobs queued, and {team.queued_jobs_at_most:,} are allowed."
        hint = "Wait until some have started, cancel some, or ask the site's admin to raise the limit."
        problems.append(FieldProblem("team", "job.team_queue_full", message, hint))
    own = queued.filter(created_by=user).count()
    if own + more > team.queued_jobs_a_person:
        message = f"You have {own:,} jobs queued in team {team.name}, and {team.queued_jobs_a_person:,} are allowed."
        hint = "Wait until some have started, or cancel some."
        problems.append(FieldProblem("team", "job.own_queue_full", message, hint))
    return problems


def gpu_hours_problem(team: Team) -> FieldProblem | None:
    """Why a job that would train on a GPU is not queued: the month's hours are used up."""
    hours = team.gpu_hours_a_month
    if hours is None:
        return None
    now = timezone.now()
    used = gpu_hours_used([team.pk], now)[team.pk]
    if used < hours:
        return None
    hint = "Wait until then, or ask the site's admin to raise the limit."
    return FieldProblem("team", "job.gpu_hours_used", spent_sentence(hours, used, month_of(now)[1]), hint)
