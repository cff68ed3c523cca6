"""The sweep that makes states honest again: ends dead leases, gives back what was never started, sends lost permits.

A plain loop in the housekeeping process: it must work while the broker is down.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from dataclasses import dataclass, field
from datetime import timedelta

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from webapp.basemodels.models import BaseModel, BaseModelState
from webapp.datasets import tasks
from webapp.datasets.vetting import waiting_for_check
from webapp.jobs import inspecting, scheduling, transitions
from webapp.jobs.models import Attempt, Inspection, Worker
from webapp.jobs.permits import wake

log = logging.getLogger(__name__)


@dataclass
class Reconciler:
    """One active per site. After a pause of its own it first gives every live attempt a fresh lease."""

    last_sweep: float = -math.inf
    """None yet: the site may have been away for long, so the first sweep blames no worker."""
    wall_offset: float = field(default_factory=lambda: time.time() - time.monotonic())

    def sweep(self) -> None:
        """One round. Each step stands alone: a fault in one does not keep the others from running."""
        if self._was_asleep():
            renew_all_leases()
        for step in (end_lost_attempts, give_back_unacknowledged, give_back_inspections, ask_again, send_permits):
            try:
                step()
            except Exception:
                log.exception("sweep: %s", step.__name__)
        self.last_sweep = time.monotonic()

    def _was_asleep(self) -> bool:
        """The site itself was away or its clock jumped: nobody's lease may be blamed for that."""
        offset = time.time() - time.monotonic()
        jumped = abs(offset - self.wall_offset) > 5
        self.wall_offset = offset
        return jumped or time.monotonic() - self.last_sweep > 2 * settings.TIMINGS.sweep_seconds + 1


def renew_all_leases() -> None:
    """Give every live attempt and inspection a whole lease from now."""
    until = timezone.now() + timedelta(seconds=settings.TIMINGS.lease_seconds)
    Attempt.objects.exclude(state=Attempt.State.ENDED).update(lease_until=until)
    Inspection.objects.filter(state=Inspection.State.RUNNING).update(lease_until=until)


def end_lost_attempts() -> None:
    """Running, but the lease is over: the worker is lost, and the job goes on elsewhere."""
    _end_those(Q(state=Attempt.State.RUNNING, lease_until__lt=timezone.now()), "worker_lost")


def give_back_unacknowledged() -> None:
    """Claimed but never acknowledged: back to the queue, not counted."""
    limit = timezone.now() - timedelta(seconds=settings.TIMINGS.ack_limit_seconds)
    _end_those(Q(state=Attempt.State.STARTING, created_at__lt=limit), "not_acked")


def _end_those(where: Q, reason: str) -> None:
    """End each attempt for which the condition still holds in the statement that ends it."""
    for attempt in Attempt.objects.filter(where):
        with contextlib.suppress(transitions.StaleAttempt):  # it ended, or renewed its lease, meanwhile
            transitions.end_attempt(attempt, "reconciler", "released", reason, still=where)


def give_back_inspections() -> None:
    for inspection in Inspection.objects.filter(state=Inspection.State.RUNNING, lease_until__lt=timezone.now()):
        inspecting.give_back(inspection)


def ask_again() -> None:
    """What waits for a check or an inspection and lost its message."""
    for version_id in waiting_for_check():
        tasks.wake(version_id)
    forgotten = BaseModel.objects.filter(state=BaseModelState.CHECKING)
    for model in forgotten.exclude(inspections__state__in=[Inspection.State.QUEUED, Inspection.State.RUNNING]):
        inspecting.ask_about(model)


def send_permits() -> None:
    """Work waits and a worker is idle: its permit was lost, or it freed up between two permits."""
    for worker in Worker.objects.filter(Q(drain=False), revoked_at=None):
        idle = worker.report.get("busy_slots", 0) < worker.report.get("slots", 1)
        if worker.online and idle and scheduling.work_waits(worker):
            wake(worker)
