"""Who sweeps: one reconciler at a time holds the Sweep row, in the database's time; another waits until it is free."""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import dataclass, field
from datetime import datetime

from django.conf import settings
from django.db.models import Q

from webapp import clock
from webapp.jobs.models import Sweep

ONLY = 1
"""The row's key: there is one."""


def _own_name() -> str:
    return f"{socket.gethostname()[:40]}:{os.getpid()}:{secrets.token_hex(4)}"


@dataclass
class Hold:
    """One process's claim to be the active reconciler."""

    name: str = field(default_factory=_own_name)

    def take(self) -> bool:
        """Take or prolong the hold; False while another process has it."""
        Sweep.objects.get_or_create(pk=ONLY)
        free = Q(holder=self.name) | Q(held_until=None) | Q(held_until__lt=clock.now())
        until = clock.in_seconds(3 * settings.TIMINGS.sweep_seconds)
        return Sweep.objects.filter(free, pk=ONLY).update(holder=self.name, held_until=until) == 1

    def note_sweep(self) -> None:
        """A good round is over: pages and the health call read when."""
        Sweep.objects.filter(pk=ONLY, holder=self.name).update(swept_at=clock.now())

    def release(self) -> None:
        """This process ends: the next one need not wait."""
        Sweep.objects.filter(pk=ONLY, holder=self.name).update(held_until=None)


def database_time() -> datetime:
    """The database's clock, read now."""
    moment: datetime = Sweep.objects.filter(pk=ONLY).values_list(clock.now(), flat=True).get()
    return moment


def seconds_since_sweep() -> float | None:
    """How long ago the last good round ended, by the database's clock; None if there never was one."""
    found = Sweep.objects.filter(pk=ONLY).values_list(clock.now(), "swept_at").first()
    if found is None or found[1] is None:
        return None
    return max(0.0, float((found[0] - found[1]).total_seconds()))
