"""The queue as one look at the database finds it: what waits, what is at work, and on which workers."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median
from typing import Any, NamedTuple

from django.db.models import Count, Q

from webapp.accounts.models import Team
from webapp.jobs import quotas
from webapp.jobs.fair_share import Shares, shares_now
from webapp.jobs.fitting import Offer, equipped_for, may_run, pools_of, reported_offer, serving, within
from webapp.jobs.models import AT_WORK, Attempt, Inspection, Job, JobState, Worker

LENGTHS_FROM = 2000
"""So many newest finished jobs are looked at for how long one takes."""


class QueuedJob(NamedTuple):
    """A queued job without what only its own page shows."""

    id: int
    team_id: int
    created_by_id: int | None
    pool: str
    priority: int
    queue_position: float
    gpus: int
    least_memory_bytes: int | None
    run_after: datetime | None
    not_before: datetime | None
    reserved_on_id: int | None
    base_model_id: int
    method: str
    dataset_version_id: int
    step: int
    total_steps: int

    @property
    def share_left(self) -> float:
        """What a job that was at work before still has to do, 0 to 1."""
        return 1 - min(1.0, self.step / self.total_steps) if self.total_steps else 1.0

    @property
    def earliest(self) -> datetime | None:
        """The later one of its two times."""
        return max((at for at in (self.run_after, self.not_before) if at), default=None)


@dataclass(frozen=True)
class Running:
    """A job at work: how many slots it takes of its worker, and until when."""

    team_id: int
    worker_id: int
    slots: int
    eta_seconds: float | None


@dataclass(frozen=True)
class QueueState:
    """Everything that order, reasons and times are worked out from."""

    jobs: list[QueuedJob]
    running: list[Running]
    shares: Shares
    workers: dict[int, Worker]
    offers: dict[int, Offer]
    lengths: dict[tuple[object, ...], float]
    """Median seconds of finished jobs, by what they share with others."""
    limits: dict[int, quotas.Limits]
    team_names: dict[int, str]
    fitting_workers: dict[tuple[object, ...], list[Worker]] = field(default_factory=dict)
    """Answers of `fitting` so far: thousands of jobs ask few different questions."""

    def team_name(self, team_id: int) -> str:
        return self.team_names[team_id]

    def seconds_of(self, job: QueuedJob) -> float | None:
        """How long it will take, from the most similar finished jobs; None where there are none."""
        keys = (
            (job.base_model_id, job.method, job.dataset_version_id),
            (job.base_model_id, job.method),
            (job.pool,),
        )
        known = next((self.lengths[key] for key in keys if key in self.lengths), None)
        return None if known is None else known * job.share_left

    def allowed(self, job: QueuedJob) -> list[Worker]:
        """Workers that pool and team let it run on, away or not."""
        return [worker for worker in self.workers.values() if may_run(worker, job.pool, job.team_id)]

    def pools_for(self, team_id: int) -> list[str]:
        """Pools and labels of the workers that a team may use, by name."""
        own = [worker for worker in self.workers.values() if worker.team_id in (None, team_id)]
        return sorted({pool for worker in own for pool in pools_of(worker)})

    def fitting(self, job: QueuedJob) -> list[Worker]:
        """Serving workers that can run it, now or once what runs there has ended."""
        question = (job.pool, job.team_id, job.gpus, job.least_memory_bytes, job.method)
        if question not in self.fitting_workers:
            serve = [worker for worker in self.allowed(job) if serving(worker)]
            self.fitting_workers[question] = [worker for worker in serve if self._fits(job, worker)]
        return self.fitting_workers[question]

    def _fits(self, job: QueuedJob, worker: Worker) -> bool:
        levels = self.offers[worker.pk].levels_later
        return equipped_for(worker, job.method) and within(levels, job.gpus, job.least_memory_bytes)


def read_queue(now: datetime, asked: QueuedJob | None = None) -> QueueState:
    """A fixed number of queries, however long the queue is; `asked` counts as queued."""
    jobs = [QueuedJob(*row) for row in Job.objects.filter(state=JobState.QUEUED).values_list(*QueuedJob._fields)]
    jobs += [asked] if asked else []
    live: dict[int, list[Attempt]] = {}
    running = []
    attempts = Attempt.objects.exclude(state=Attempt.State.ENDED).select_related("job").defer("job__spec")
    for attempt in attempts.order_by("id"):
        job = attempt.job
        if job.state not in AT_WORK:
            continue
        live.setdefault(attempt.worker_id, []).append(attempt)
        left = job.left
        running.append(Running(job.team_id, attempt.worker_id, job.gpus, left.likely if left else None))
    busy = Count("inspections", filter=Q(inspections__state=Inspection.State.RUNNING))
    workers: dict[int, Worker] = {}
    offers: dict[int, Offer] = {}
    rows: Any = Worker.objects.filter(revoked_at=None).annotate(inspecting=busy)
    for worker in rows:
        workers[worker.pk] = worker
        offers[worker.pk] = reported_offer(worker, live.get(worker.pk, []), worker.inspecting)
    teams = list(Team.objects.filter(pk__in={job.team_id for job in jobs}))
    names = {team.pk: team.name for team in teams}
    return QueueState(jobs, running, shares_now(now), workers, offers, _lengths(), quotas.limits_of(teams), names)


def _lengths() -> dict[tuple[object, ...], float]:
    """Of jobs that succeeded at their first attempt, so that no pause counts."""
    done = Job.objects.filter(state=JobState.SUCCEEDED, attempts_made=1)
    rows = done.order_by("-id").values_list(
        "base_model_id", "method", "dataset_version_id", "pool", "started_at", "ended_at"
    )
    seconds: dict[tuple[object, ...], list[float]] = {}
    for model, method, version, pool, started, ended in rows[:LENGTHS_FROM]:
        if started is None or ended is None:
            continue
        elapsed = (ended - started) / timedelta(seconds=1)
        for key in ((model, method, version), (model, method), (pool,)):
            seconds.setdefault(key, []).append(elapsed)
    return {key: median(values) for key, values in seconds.items()}
