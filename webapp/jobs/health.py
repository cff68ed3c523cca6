"""How the site fares: database, broker, disk, and whether somebody sweeps. No secrets: anybody may ask."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from typing import Any, Literal

from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest

from webapp import broker
from webapp.jobs.holding import seconds_since_sweep
from webapp.outages import AWAY

State = Literal["ok", "degraded", "red"]


@dataclass(frozen=True)
class Part:
    """One thing the site stands on."""

    state: State
    sentence: str


@dataclass(frozen=True)
class Health:
    database: Part
    broker: Part
    disk: Part
    sweep: Part
    sweep_age_seconds: float | None
    """Since the last good sweep, by the database's clock."""

    @property
    def status(self) -> State:
        """The worst of the parts."""
        states = {part.state for part in (self.database, self.broker, self.disk, self.sweep)}
        return "red" if "red" in states else "degraded" if "degraded" in states else "ok"

    def as_json(self) -> dict[str, Any]:
        return {"status": self.status} | asdict(self)


def health() -> Health:
    """Ask each part now. Never raises."""
    try:
        age, database = seconds_since_sweep(), Part("ok", "The database answers.")
    except (*AWAY, DatabaseError):
        age, database = None, Part("red", "The database does not answer.")
    return Health(database, _broker(), _disk(), _sweep(age, database), age)


def _broker() -> Part:
    if broker.answers():
        return Part("ok", "The broker answers.")
    return Part("degraded", "The broker does not answer: jobs are kept, but start and show live updates late.")


def _disk() -> Part:
    free = shutil.disk_usage(settings.VAR).free
    said = f"{free / 1024**3:.1f} GiB free; {settings.DISK_RESERVE_BYTES / 1024**3:.1f} GiB are kept in reserve."
    if free >= settings.DISK_RESERVE_BYTES:
        return Part("ok", said)
    return Part("degraded", f"{said} Uploads and new jobs are refused until there is more.")


def _sweep(age: float | None, database: Part) -> Part:
    if database.state == "red":
        return Part("red", "Nobody can sweep without the database.")
    if age is None:
        return Part("red", "Nobody has swept yet: is the housekeeping process running?")
    if age > settings.TIMINGS.no_sweep_seconds:
        return Part("red", f"No sweep for {age:.0f} s: is the housekeeping process running?")
    return Part("ok", f"The last sweep was {age:.0f} s ago.")


def shown(request: HttpRequest) -> dict[str, Any]:
    """Context processor: `queue_delayed`, and `read_only` with its sentence; asked only where a page shows them."""
    return {"queue_delayed": lambda: not broker.answers(), "read_only": _read_only}


def _read_only() -> str:
    """Why nothing new can be stored, or nothing: the disk's reserve is all that is left."""
    disk = _disk()
    return "" if disk.state == "ok" else disk.sentence
