"""The sweep that makes states honest again: ends dead leases, gives back what was never started, sends lost permits.

A plain loop in the housekeeping process: it must work while the broker is down. Which of several processes sweeps is
for holding.py, damaged and forgotten files are for scrubbing.py and clearing.py.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from webapp import clock
from webapp.basemodels.models import BaseModel, BaseModelState
from webapp.datasets import tasks
from webapp.datasets.vetting import waiting_for_check
from webapp.jobs import inspecting, scheduling, transitions
from webapp.jobs.clearing import Clearing
from webapp.jobs.enrolling import suspend_if_silent
from webapp.jobs.holding import Hold, database_time
from webapp.jobs.models import Attempt, Inspection, Worker, removed_for_good
from webapp.jobs.permits import wake
from webapp.jobs.probing import Probe
from webapp.jobs.reporting import unacknowledged
from webapp.jobs.scrubbing import Scrub

log = logging.getLogger(__name__)
CLOCK_JUMP_SECONDS = 5.0


@dataclass
class Reconciler:
    """One active per site. After a pause of its own it first gives every live attempt a fresh lease."""

    last_sweep: float = -math.inf
    """None yet: the site may have been away for long, so the first sweep blames no worker."""
    clock_offset: float | None = None
    """The database's clock against this machine's monotonic one, at the last look."""
    answers: Callable[[], bool] = field(default_factory=lambda: Probe().answers)
    """Whether the worker API would hear a worker now."""
    heard: bool = False
    hold: Hold = field(default_factory=Hold)
    active: bool = False
    scrub: Scrub = field(default_factory=Scrub)
    clearing: Clearing = field(default_factory=Clearing)

    def turn(self) -> bool:
        """One round if this process is the active one; otherwise it stands by. Faults of the database pass."""
        try:
            active = self.hold.take()
        except Exception:
            log.exception("sweep: the database does not answer")
            return False
        self.active = active
        if active:
            self.sweep()
        else:
            self.last_sweep = -math.inf  # whoever takes over later has seen nothing of what came before
        return active

    def leave(self) -> None:
        """This process ends: the next one need not wait for the hold to run out."""
        self._step(self.hold.release)

    def sweep(self) -> None:
        """One round. Each step stands alone: a fault in one does not keep the others from running."""
        if all([self._step(self._end_what_is_due), *map(self._step, STEPS)]):
            self._step(self.hold.note_sweep)

    def look_after_files(self) -> None:
        """A share of reading and clearing, for a thread beside the sweep: a store that hangs keeps no lease alive."""
        if self.active:
            for step in (self.scrub.share, self.clearing.share):
                self._step(step)

    def _step(self, step: Callable[[], None]) -> bool:
        try:
            step()
        except Exception:
            log.exception("sweep: %s", step.__name__)
            return False
        return True

    def _end_what_is_due(self) -> None:
        """End leases, but only while workers can be heard, and never for time that the site itself missed."""
        was_heard, self.heard = self.heard, self.answers()
        if not self.heard:
            return
        if self._was_asleep() or not was_heard:
            renew_all_leases()
        for step in (end_lost_attempts, give_back_unacknowledged, give_back_inspections):
            step()
        self.last_sweep = time.monotonic()

    def _was_asleep(self) -> bool:
        """The site itself was away or a clock jumped."""
        offset = database_time().timestamp() - time.monotonic()
        jumped = self.clock_offset is None or abs(offset - self.clock_offset) > CLOCK_JUMP_SECONDS
        self.clock_offset = offset
        return jumped or time.monotonic() - self.last_sweep > settings.TIMINGS.sweep_gap_seconds


def renew_all_leases() -> None:
    """Give every live attempt and inspection a whole lease from now."""
    until = clock.in_seconds(settings.TIMINGS.lease_seconds)
    Attempt.objects.exclude(state=Attempt.State.ENDED).update(lease_until=until)
    Inspection.objects.filter(state=Inspection.State.RUNNING).update(lease_until=until)


def end_lost_attempts() -> None:
    """Running, but the lease is over: the worker is lost, and the job goes on elsewhere."""
    _end_those(Q(state=Attempt.State.RUNNING, lease_until__lt=clock.now()), "worker_lost")


def give_back_unacknowledged() -> None:
    """Claimed but never acknowledged: back to the queue, not counted; a worker that goes on so gets no more."""
    _end_those(unacknowledged(), "not_acked")


def _end_those(where: Q, reason: str) -> None:
    """End each attempt for which the condition still holds in the statement that ends it."""
    for attempt in Attempt.objects.filter(where).select_related("worker"):
        with contextlib.suppress(transitions.StaleAttempt), transaction.atomic():  # it may have renewed meanwhile
            transitions.end_attempt(attempt, "reconciler", "released", reason, still=where)
            if reason == "not_acked":
                suspend_if_silent(attempt)


def give_back_inspections() -> None:
    late = Inspection.objects.filter(state=Inspection.State.RUNNING, lease_until__lt=clock.now())
    for inspection in late:
        inspecting.give_back(inspection)


def end_what_removed_workers_have() -> None:
    """A removed worker hands its jobs back by itself; one that does not is not asked again."""
    _end_those(removed_for_good() & ~Q(state=Attempt.State.ENDED), "drained")
    for inspection in Inspection.objects.filter(removed_for_good(), state=Inspection.State.RUNNING):
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
    for worker in Worker.objects.taking_jobs():
        idle = worker.report.get("busy_slots", 0) < worker.report.get("slots", 1)
        if worker.online and idle and scheduling.work_waits(worker):
            wake(worker)


STEPS = (end_what_removed_workers_have, ask_again, send_permits)
"""What needs neither a worker's word nor the right time."""
