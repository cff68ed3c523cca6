"""What a worker has to offer, and which jobs fit: pools, devices, memory. Their order is fair_share.py's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from django.db.models import Q, QuerySet

from webapp import clock
from webapp.jobs.models import Attempt, Inspection, Job, JobState, Worker, serves_nobody
from workers.methods import METHODS
from workers.protocol import INFRASTRUCTURE_REASONS

UNKNOWN_MEMORY = 2**62
"""A device whose memory nobody reported: no job is kept from it."""


def pools_of(worker: Worker) -> list[str]:
    """The pools whose jobs it takes: its own, and its labels (kinds of GPU, say)."""
    return [worker.pool, *(str(label) for label in worker.report.get("labels", ()) if label != worker.pool)]


def takes_jobs(worker: Worker) -> bool:
    return worker.takes_jobs


def serving(worker: Worker) -> bool:
    return worker.serving


def lapsed_reservation() -> Q:
    """The worker that a job was reserved on is away, so another may reserve it."""
    return serves_nobody("reserved_on")


def live_reservations() -> QuerySet[Job]:
    """Queued jobs for which a worker is kept free now: its free slots do no other work, so they count as at work."""
    lapsed = Job.objects.filter(lapsed_reservation())  # not negated itself: what a report leaves out is neither
    kept = Job.objects.filter(state=JobState.QUEUED, reserved_on__isnull=False)
    return kept.exclude(pk__in=lapsed.order_by().values("pk"))


def within(levels: Sequence[int], gpus: int, least: int | None) -> bool:
    """`levels[n - 1]` is the memory that each of n devices has."""
    return gpus <= len(levels) and (least or 0) <= levels[gpus - 1]


def within_q(levels: Sequence[int]) -> Q:
    """The same question to the database. No levels: no job fits."""
    fits = Q(pk__in=[])
    for number, level in enumerate(levels, start=1):
        if number == len(levels) or levels[number] != level:  # one condition for a run of equal ones
            fits |= Q(gpus__lte=number) & (Q(least_memory_bytes=None) | Q(least_memory_bytes__lte=level))
    return fits


@dataclass(frozen=True)
class Offer:
    """Devices of one worker that are free now, one entry a slot, and what its busy slots will give back."""

    free: tuple[dict[str, Any], ...]
    """The first is the slot that asks: it takes part in whatever is claimed."""
    busy: tuple[dict[str, Any], ...] = ()

    @property
    def cuda(self) -> bool:
        return any(device.get("kind") == "cuda" for device in (*self.free, *self.busy))

    @property
    def levels(self) -> list[int]:
        """Free memory of each of the first n devices, for n = 1, 2, …: a worker takes them in its own order."""
        return list(accumulate((_free(device) for device in self.free), min))

    @property
    def levels_later(self) -> list[int]:
        """The same once everything that is at work here has ended."""
        devices = [_free(device) for device in self.free] + [_whole(device) for device in self.busy]
        return sorted(devices, reverse=True)


def _free(device: dict[str, Any]) -> int:
    return int(device.get("memory_free_bytes", UNKNOWN_MEMORY))


def _whole(device: dict[str, Any]) -> int:
    return int(device.get("memory_bytes", UNKNOWN_MEMORY))


NAMELESS: dict[str, Any] = {}
"""A slot of a worker that said nothing of its devices."""


def offer_to(worker: Worker, said: Sequence[dict[str, Any]]) -> Offer:
    """What a claim offers: the free devices it names, and those of the same kind that are at work here now."""
    free = tuple(said) or (NAMELESS,)
    if len(said) <= 1 and worker.report.get("protocol", 1) < 2:
        return Offer(free)  # such a worker trains on one device at a time
    kind = free[0].get("kind")
    live = Attempt.objects.filter(worker=worker).exclude(state=Attempt.State.ENDED).values_list("devices", flat=True)
    busy = [device for devices in live for device in devices if device.get("kind") == kind]
    inspections = Inspection.objects.filter(worker=worker, state=Inspection.State.RUNNING).count()
    return Offer(free, (*busy, *[free[0]] * inspections))


def offers_of(workers: Iterable[Worker]) -> dict[int, Offer]:
    """What each worker offers by its newest report and by what is at work on it, the best slot first."""
    workers = list(workers)
    live: dict[int, list[Attempt]] = {worker.pk: [] for worker in workers}
    for attempt in Attempt.objects.filter(worker__in=workers).exclude(state=Attempt.State.ENDED):
        live[attempt.worker_id].append(attempt)
    inspecting: dict[int, int] = dict.fromkeys(live, 0)
    for worker_id in Inspection.objects.filter(worker__in=workers, state=Inspection.State.RUNNING).values_list(
        "worker_id", flat=True
    ):
        inspecting[worker_id or 0] += 1
    return {worker.pk: reported_offer(worker, live[worker.pk], inspecting[worker.pk]) for worker in workers}


def reported_offer(worker: Worker, live: Sequence[Attempt], inspections: int = 0) -> Offer:
    """One worker's slots, split into free and busy."""
    devices = worker.report.get("devices") or [NAMELESS]
    slots = [devices[number % len(devices)] for number in range(worker.report.get("slots", 1))]
    busy = []
    for attempt in live:
        for device in attempt.devices or [NAMELESS]:
            same = [each for each in slots if _address(each) == _address(device)] or slots[-1:]
            if same:
                slots.remove(same[0])
                busy.append(same[0])
    for _ in range(min(inspections, len(slots))):
        busy.append(slots.pop())
    return Offer(tuple(sorted(slots, key=_free, reverse=True)), tuple(busy))


def _address(device: dict[str, Any]) -> tuple[Any, Any]:
    return device.get("kind"), device.get("index")


def better_elsewhere(worker: Worker) -> list[int]:
    """Queued jobs that infrastructure ended on this very worker last time and that another idle one could take."""
    burnt = [job for job in _ended_here(worker) if _ended_with(job) == worker.pk]
    if not burnt:
        return []
    others = [each for each in Worker.objects.exclude(pk=worker.pk).filter(revoked_at=None) if serving(each)]
    offers = offers_of(others)
    return [
        job.pk
        for job in burnt
        if any(
            may_run(each, job.pool, job.team_id)
            and equipped_for(each, job.method)
            and within(offers[each.pk].levels, job.gpus, job.least_memory_bytes)
            for each in others
        )
    ]


def _ended_here(worker: Worker) -> QuerySet[Job]:
    ended = Attempt.objects.filter(worker=worker, reason_code__in=INFRASTRUCTURE_REASONS, job__state=JobState.QUEUED)
    return Job.objects.filter(pk__in=ended.values("job"))


def _ended_with(job: Job) -> int | None:
    """The worker of its latest attempt that infrastructure ended."""
    ended = Attempt.objects.filter(job=job, reason_code__in=INFRASTRUCTURE_REASONS).order_by("-number")
    return ended.values_list("worker_id", flat=True).first()


def may_run(worker: Worker, pool: str, team_id: int) -> bool:
    """Pool and team agree."""
    return pool in pools_of(worker) and worker.team_id in (None, team_id)


def equipped_for(worker: Worker, method: str) -> bool:
    """It never said that it lacks the package which the method needs."""
    return method not in _methods_without_library(worker)


def _methods_without_library(worker: Worker) -> list[str]:
    lacks = worker.report.get("lacks", ())
    return [each.name for each in METHODS.values() if each.library in lacks]


def queued_for(worker: Worker) -> QuerySet[Job]:
    """Queued jobs of the worker's pools and, where it belongs to a team, of that team, whose time has come.

    Without those of methods whose library it lacks.
    """
    now = clock.now()
    pools = pools_of(worker)
    in_pools = Q(pool=pools[0]) if len(pools) == 1 else Q(pool__in=pools)  # one pool alone is read in index order
    jobs = Job.objects.filter(in_pools, state=JobState.QUEUED)
    if unable := _methods_without_library(worker):
        jobs = jobs.exclude(method__in=unable)
    jobs = jobs.filter(Q(run_after=None) | Q(run_after__lte=now), Q(not_before=None) | Q(not_before__lte=now))
    return jobs if worker.team_id is None else jobs.filter(team_id=worker.team_id)


def trains_on_cpus_only(pool: str, team_id: int) -> bool:
    """Every worker that may take a job of this pool and team has said that it has no GPU."""
    able = _workers_for(pool, team_id)
    reported = [worker.report.get("devices") for worker in able]
    return bool(able) and all(said and all(each["kind"] != "cuda" for each in said) for said in reported)


def no_worker_is_equipped(method: str, pool: str, team_id: int) -> bool:
    """Every worker that may take a job of this pool and team, and there is one, lacks the method's library."""
    able = _workers_for(pool, team_id)
    return bool(able) and not any(equipped_for(worker, method) for worker in able)


def _workers_for(pool: str, team_id: int) -> list[Worker]:
    return [worker for worker in Worker.objects.filter(revoked_at=None) if may_run(worker, pool, team_id)]
