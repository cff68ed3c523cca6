"""Workers come and go: one-time keys, the token exchange, and the hello that says which boot of a worker lives."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from webapp import clock
from webapp.accounts.models import AuditEntry, Role, Team, User
from webapp.accounts.permissions import require
from webapp.accounts.tokens import digest, make_secret
from webapp.jobs import inspecting, transitions
from webapp.jobs.device_history import take_down
from webapp.jobs.models import Attempt, Inspection, Worker
from workers.protocol import DEFAULT_POOL, OLDEST_PROTOCOL, PROTOCOL

KEY_HOURS = 1
SILENT_CLAIMS = 3
SILENT_WITHIN_SECONDS = 600


class EnrolmentRefused(Exception):
    """The key or the place it comes from is not good (403)."""


class WorkerRunning(Exception):
    """Another process uses this worker's token right now (409)."""

    def __init__(self, worker: Worker) -> None:
        host = worker.report.get("hostname", "another machine")
        super().__init__(
            f"Worker {worker.name} is running on {host}. Stop it there, or enrol a worker of its own here."
        )


def make_key(
    name: str, team: Team | None = None, pool: str = DEFAULT_POOL, embedded: bool = False
) -> tuple[Worker, str]:
    """A worker row and its one-time key, good for an hour. An existing worker's token dies when the key is used."""
    secret = make_secret("k")
    fields = {
        "team": team,
        "pool": pool,
        "embedded": embedded,
        "key_sha256": secret.sha256,
        "key_expires_at": timezone.now() + timedelta(hours=KEY_HOURS),
        "revoked_at": None,
    }
    worker, _ = Worker.objects.update_or_create(name=name, defaults=fields)
    return worker, secret.text


def enrol(key: str, address: str, protocol: int) -> dict[str, Any]:
    """Exchange a one-time key for a token. Raises EnrolmentRefused with the reason and the fix."""
    _require_protocol(protocol)
    remote = _embedded_broker() and not _on_loopback(address)
    if remote:
        raise EnrolmentRefused(
            "The site still runs on its embedded broker, which only this machine reaches. "
            "Set REDIS_URL on the site to a Redis or Valkey that workers can reach, then enrol again."
        )
    secret = make_secret("w")
    with transaction.atomic():
        unused = Worker.objects.filter(key_sha256=digest(key), key_expires_at__gt=timezone.now(), revoked_at=None)
        worker = unused.first()
        taken = worker and unused.update(key_sha256="", token_prefix=secret.prefix, token_sha256=secret.sha256)
        if not worker or not taken:
            raise EnrolmentRefused("The key is wrong, used or over an hour old. Make a new one on the Team page.")
    broker = None if _embedded_broker() else settings.REDIS_URL
    return {
        "token": secret.text,
        "worker_id": worker.pk,
        "name": worker.name,
        "pool": worker.pool,
        "broker_url": broker,
    }


def _require_protocol(protocol: int) -> None:
    if not OLDEST_PROTOCOL <= protocol <= PROTOCOL:
        raise EnrolmentRefused(
            f"The site speaks protocols {OLDEST_PROTOCOL} to {PROTOCOL}, this worker {protocol}. "
            "Install the same version."
        )


def _embedded_broker() -> bool:
    return _on_loopback(urlsplit(settings.REDIS_URL).hostname or "")


def _on_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def hello(worker: Worker, report: dict[str, Any], address: str = "") -> Worker:
    """Note the worker's report; what an older boot of it left running ends at once.

    Raises WorkerRunning, EnrolmentRefused (protocol).

    In one home folder a lock file keeps a second process from starting, so there a newer boot means the older is dead.
    """
    _require_protocol(int(report.get("protocol", PROTOCOL)))
    boot = str(report.get("boot_id", ""))[:40]
    with transaction.atomic():
        worker = Worker.objects.select_for_update().get(pk=worker.pk)
        other = worker.boot_id not in ("", boot)
        same_place = _same_place(worker.report, report)
        if other and worker.online and not same_place:
            raise WorkerRunning(worker)
        worker.boot_id, worker.report, worker.last_hello_at = boot, report, timezone.now()
        worker.last_address = address[:45]
        if other and same_place:
            worker.suspended_at = None  # a fresh process deserves a fresh chance
        worker.save(update_fields=["boot_id", "report", "last_hello_at", "last_address", "suspended_at"])
        take_down(worker)
    if other:
        end_older_boots(worker)
    return worker


def _same_place(before: dict[str, Any], now: dict[str, Any]) -> bool:
    """On one host and in one home folder. A host's name is no secret, so once the folder is known it decides."""
    same_folder = before.get("place") in (None, "", now.get("place"))
    return same_folder and before.get("hostname") == now.get("hostname")


def suspend_if_silent(attempt: Attempt) -> None:
    """Three claims of one process that it never acknowledged within ten minutes: it gets no more for now."""
    same = Attempt.objects.filter(worker=attempt.worker, boot_id=attempt.boot_id, reason_code="not_acked")
    if same.filter(ended_at__gt=clock.in_seconds(-SILENT_WITHIN_SECONDS)).count() >= SILENT_CLAIMS:
        Worker.objects.filter(pk=attempt.worker_id, suspended_at=None).update(suspended_at=clock.now())


def end_older_boots(worker: Worker) -> None:
    """End attempts and inspections of this worker that belong to an earlier boot."""
    older = Attempt.objects.filter(worker=worker).exclude(state=Attempt.State.ENDED).exclude(boot_id=worker.boot_id)
    for attempt in older:
        with contextlib.suppress(transitions.StaleAttempt):  # the sweep was faster
            began = attempt.state == Attempt.State.RUNNING
            reason = "worker_lost" if began else "not_acked"
            transitions.end_attempt(attempt, f"worker {worker.name}", "released", reason)
    running = Inspection.objects.filter(worker=worker, state=Inspection.State.RUNNING)
    for inspection in running.exclude(boot_id=worker.boot_id):
        inspecting.give_back(inspection)


def drain(worker: Worker, user: User, on: bool) -> None:
    """Let it finish what it has and take no more, or take jobs again. Raises NotAllowed."""
    require(user, worker.team_id, Role.MAINTAINER)
    worker.drain = on
    worker.suspended_at = worker.suspended_at if on else None
    worker.save(update_fields=["drain", "suspended_at"])
    AuditEntry.note(user, worker.team, "worker.drain", worker.pk, drain=on)


def remove(worker: Worker, user: User) -> None:
    """Its token dies. It hears so with its next hello, hands its jobs back and ends. Raises NotAllowed."""
    require(user, worker.team_id, Role.MAINTAINER)
    worker.revoked_at = timezone.now()
    worker.save(update_fields=["revoked_at"])
    AuditEntry.note(user, worker.team, "worker.remove", worker.pk, name=worker.name)
