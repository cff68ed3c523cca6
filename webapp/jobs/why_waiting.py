"""Why a queued job has not started: the first thing that stands in its way, with numbers and what would help."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from webapp.jobs import quotas
from webapp.jobs.fitting import equipped_for, serving, takes_jobs
from webapp.jobs.queue_state import QueuedJob, QueueState
from workers.methods import METHODS

CODES = (
    "run_after",
    "not_before",
    "gpu_hours_used",
    "no_worker",
    "draining",
    "deaf",
    "does_not_fit",
    "jobs_at_once",
    "reserved",
    "ahead",
    "next",
)
GIB = 1024**3


@dataclass(frozen=True)
class Why:
    code: str
    sentence: str


def is_barred(queue: QueueState, job: QueuedJob, now: datetime) -> bool:
    """It could not start now even if it were its turn and every slot were free."""
    if job.earliest is not None and job.earliest > now:
        return True
    limits, workers = queue.limits.get(job.team_id), queue.fitting(job)
    if limits is None:
        return not workers
    return all(limits.closed_on(worker.pk, queue.offers[worker.pk].cuda) for worker in workers)


def is_stuck(queue: QueueState, job: QueuedJob) -> bool:
    """Nothing that ends here would let it start: no worker fits, or its team's hours are used up."""
    return not queue.fitting(job) or _spent(queue, job)


def _spent(queue: QueueState, job: QueuedJob) -> bool:
    """Its team has no GPU hours left this month, and no worker without a GPU fits."""
    limits = queue.limits.get(job.team_id)
    if limits is None or not limits.spent:
        return False
    return all(queue.offers[worker.pk].cuda for worker in queue.fitting(job))


def why(queue: QueueState, job: QueuedJob, place: int, now: datetime) -> Why:
    """The first reason that holds."""
    return (
        _time(job, now)
        or _workers(queue, job)
        or _quota(queue, job, now)
        or _at_once(queue, job)
        or _reserved(queue, job)
        or _turn(queue, job, place)
    )


def _time(job: QueuedJob, now: datetime) -> Why | None:
    if job.run_after is not None and job.run_after > now:
        return Why("run_after", f"It is to start after {job.run_after:%Y-%m-%d %H:%M} (UTC), as was asked.")
    if job.not_before is not None and job.not_before > now:
        seconds = max(1, round((job.not_before - now).total_seconds()))
        return Why("not_before", f"Its last worker failed it; it is tried again in {seconds} s.")
    return None


def _workers(queue: QueueState, job: QueuedJob) -> Why | None:
    allowed = queue.allowed(job)
    if not allowed and (pools := queue.pools_for(job.team_id)):
        known = ", ".join(pools)
        return Why("no_worker", f"No worker belongs to pool {job.pool}. Pools with workers: {known}.")
    online = [worker for worker in allowed if worker.online]
    if not online:
        help = "Start one; the Workers page says how."
        return Why("no_worker", f"No worker of pool {job.pool} is online. {help}")
    if not any(takes_jobs(worker) for worker in online):
        return Why("draining", f"Every worker of pool {job.pool} that is online is draining or suspended.")
    if not any(serving(worker) for worker in online):
        return Why("deaf", f"No worker of pool {job.pool} that is online hears the broker; each restarts by itself.")
    return None if queue.fitting(job) else Why("does_not_fit", _missing(queue, job))


def _missing(queue: QueueState, job: QueuedJob) -> str:
    able = [worker for worker in queue.allowed(job) if serving(worker) and equipped_for(worker, job.method)]
    if not able:
        needs = f"{METHODS[job.method].title} needs the package {METHODS[job.method].library}"
        return f"{needs}, and no worker of pool {job.pool} that is online has it."
    levels = [queue.offers[worker.pk].levels_later for worker in able]
    most = max((len(each) for each in levels), default=0)
    if most < job.gpus:
        return f"It needs {job.gpus} GPUs of one machine; the most that a worker of pool {job.pool} has is {most}."
    largest = max(each[job.gpus - 1] for each in levels if len(each) >= job.gpus)
    each = "on each of its GPUs " if job.gpus > 1 else ""
    needed = (job.least_memory_bytes or 0) / GIB
    return (
        f"It needs at least {needed:,.1f} GiB of free memory {each}and no worker of pool {job.pool} has more than "
        f"{largest / GIB:,.1f} GiB. Add a larger worker, or clone it with a smaller base model."
    )


def _quota(queue: QueueState, job: QueuedJob, now: datetime) -> Why | None:
    limits = queue.limits.get(job.team_id)
    if limits is None or not _spent(queue, job):
        return None
    ends = quotas.month_of(now)[1]
    sentence = quotas.spent_sentence(limits.gpu_hours_a_month or 0.0, limits.gpu_hours_used, ends)
    return Why("gpu_hours_used", sentence)


def _at_once(queue: QueueState, job: QueuedJob) -> Why | None:
    limits = queue.limits.get(job.team_id)
    if limits is None or not all(limits.full_on(worker.pk) for worker in queue.fitting(job)):
        return None
    at_work, most = limits.jobs_at_work, limits.jobs_at_once
    kept = ", and a worker kept free for one" if limits.kept_free else ""
    sentence = f"The team has {at_work} job{'s' if at_work != 1 else ''} at work{kept}, and {most} at once "
    sentence += "is allowed." if most == 1 else "are allowed."
    return Why("jobs_at_once", f"{sentence} It goes on when one of them has ended.")


def _reserved(queue: QueueState, job: QueuedJob) -> Why | None:
    worker = queue.workers.get(job.reserved_on_id or 0)
    if worker is None or not serving(worker):
        return None
    free = len(queue.offers[worker.pk].free)
    verb = "is" if free == 1 else "are"
    sentence = f"{worker.name} is kept free for it: {free} of the {job.gpus} GPUs it needs {verb} free now."
    return Why("reserved", sentence)


def _turn(queue: QueueState, job: QueuedJob, place: int) -> Why:
    if place > 1:
        ahead = place - 1
        return Why("ahead", f"{ahead} job{'s' if ahead > 1 else ''} ahead of it in pool {job.pool}.")
    if any(queue.offers[worker.pk].free for worker in queue.fitting(job)):
        return Why("next", "Next in line; a worker is about to take it.")
    return Why("next", "Next in line; every worker is busy.")
