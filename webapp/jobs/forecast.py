"""About when each queued job starts: plays the order through over the slots of the workers that fit.

What is at work ends by its own estimate, a queued job lasts as long as finished ones like it. Where either is unknown,
no time is said.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from datetime import datetime

from webapp.jobs import why_waiting
from webapp.jobs.models import Worker
from webapp.jobs.queue_state import QueuedJob, QueueState


def forecast(queue: QueueState, ordered: Sequence[QueuedJob], now: datetime) -> dict[int, float | None]:
    """Seconds until each job starts; None where that cannot be known."""
    slots, ends_by_team = _slots_now(queue), _ends_by_team(queue)
    starts: dict[int, float | None] = {}
    for job in ordered:
        if why_waiting.is_stuck(queue, job):
            starts[job.id] = None
            continue
        earliest = (job.earliest - now).total_seconds() if job.earliest else 0.0
        earliest = max(0.0, earliest, _when_team_may(queue, job, ends_by_team))
        start = _place(job, _workers(queue, job), slots, earliest, queue.seconds_of(job), ends_by_team)
        starts[job.id] = start if math.isfinite(start) else None
    return starts


def _slots_now(queue: QueueState) -> dict[int, list[float]]:
    """When each slot of each worker is free, in seconds from now, soonest first."""
    slots = {}
    for pk, offer in queue.offers.items():
        busy: list[float] = []
        for each in queue.running:
            if each.worker_id == pk:
                left = math.inf if each.eta_seconds is None else max(0.0, each.eta_seconds)
                busy += [left] * each.slots
        inspected = len(offer.busy) - len(busy)  # an inspection lasts seconds
        slots[pk] = sorted([0.0] * (len(offer.free) + max(0, inspected)) + busy)
    return slots


def _ends_by_team(queue: QueueState) -> dict[int, list[float]]:
    """When the jobs that a limited team has at work end."""
    ends: dict[int, list[float]] = {team: [] for team, each in queue.limits.items() if each.jobs_at_once is not None}
    for each in queue.running:
        if each.team_id in ends:
            ends[each.team_id].append(math.inf if each.eta_seconds is None else each.eta_seconds)
    for heap in ends.values():
        heapq.heapify(heap)
    return ends


def _when_team_may(queue: QueueState, job: QueuedJob, ends: dict[int, list[float]]) -> float:
    """When one job more of this team may be at work."""
    limit = queue.limits[job.team_id].jobs_at_once if job.team_id in ends else None
    if limit is None or len(ends[job.team_id]) < limit:
        return 0.0
    return heapq.heappop(ends[job.team_id]) if ends[job.team_id] else math.inf


def _workers(queue: QueueState, job: QueuedJob) -> list[Worker]:
    fitting = queue.fitting(job)
    reserved = [worker for worker in fitting if worker.pk == job.reserved_on_id]
    return reserved or fitting


def _place(
    job: QueuedJob,
    workers: Sequence[Worker],
    slots: dict[int, list[float]],
    earliest: float,
    seconds: float | None,
    ends: dict[int, list[float]],
) -> float:
    """Take the slots that are free together soonest, until the job has ended; its start."""

    def start_on(worker: Worker) -> float:
        free = slots[worker.pk]
        return free[job.gpus - 1] if job.gpus <= len(free) else math.inf

    best = min(workers, key=start_on)
    start = max(earliest, start_on(best))
    end = math.inf if seconds is None else start + seconds
    free = slots[best.pk]
    slots[best.pk] = sorted([*free[job.gpus :], *[end] * min(job.gpus, len(free))])
    if job.team_id in ends:
        heapq.heappush(ends[job.team_id], end)
    return start
