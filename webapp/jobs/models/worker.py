"""Workers and what they said of their devices in the last hour."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from webapp import clock
from webapp.accounts.models import Team, User
from webapp.accounts.permissions import in_teams_of_or_shared, sees_team_or_shared
from workers.protocol import DEFAULT_POOL


def silence_allowed() -> timedelta:
    """A worker that has said nothing for longer counts as away."""
    return timedelta(seconds=3 * settings.TIMINGS.hello_seconds)


def removed_for_good(worker: str = "worker") -> Q:
    """Rows whose worker was removed longer ago than it takes to hear so, to save a checkpoint and to hand it in."""
    timings = settings.TIMINGS
    over = clock.in_seconds(-(timings.drain_limit_seconds + timings.lease_seconds))
    return Q(**{f"{worker}__revoked_at__lt": over})


def takes_no_jobs(worker: str = "") -> Q:
    """Told to take no more, by a person, the site or itself: `not Worker.takes_jobs`, asked of the database."""
    facts = {"drain": True, "revoked_at__isnull": False, "suspended_at__isnull": False, "report__draining": True}
    return _any(worker, facts)


def serves_nobody(worker: str = "") -> Q:
    """Away, or about to take nothing: `not Worker.serving`, asked of the database."""
    silent = {"last_hello_at": None, "last_hello_at__lt": clock.in_seconds(-silence_allowed().total_seconds())}
    return takes_no_jobs(worker) | _any(worker, {**silent, "report__deaf": True})


def _any(worker: str, facts: dict[str, Any]) -> Q:
    prefix = f"{worker}__" if worker else ""
    return Q(*((f"{prefix}{name}", value) for name, value in facts.items()), _connector=Q.OR)


class WorkerQuerySet(models.QuerySet["Worker"]):
    def taking_jobs(self) -> WorkerQuerySet:
        """Those that nobody has told to take no more."""
        return self.exclude(pk__in=Worker.objects.filter(takes_no_jobs()).values("pk"))

    def online(self) -> WorkerQuerySet:
        """`Worker.online`, asked of the database."""
        since = clock.in_seconds(-silence_allowed().total_seconds())
        return self.filter(revoked_at=None, last_hello_at__gt=since)

    def visible_to(self, user: User) -> WorkerQuerySet:
        """The shared pool's workers and those of the person's teams."""
        return self.filter(in_teams_of_or_shared(user), revoked_at=None)


class Worker(models.Model):
    """One Celery worker process with its own token."""

    name = models.CharField(max_length=80, unique=True)
    team = models.ForeignKey(Team, models.CASCADE, null=True, blank=True, related_name="workers")
    """Set: only this team's jobs. Empty: the shared pool."""
    pool = models.CharField(max_length=40, default=DEFAULT_POOL)
    embedded = models.BooleanField(default=False)
    key_sha256 = models.CharField(max_length=64, blank=True)
    """One-time enrolment key; empty once it was used."""
    key_expires_at = models.DateTimeField(null=True)
    token_prefix = models.CharField(max_length=8, blank=True, db_index=True)
    token_sha256 = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_address = models.CharField(max_length=45, blank=True)
    """Where its newest hello came from."""
    drain = models.BooleanField(default=False)
    suspended_at = models.DateTimeField(null=True, blank=True)
    """Three of its claims were never acknowledged within ten minutes: it gets no more jobs until a person says so."""
    boot_id = models.CharField(max_length=40, blank=True)
    last_hello_at = models.DateTimeField(null=True)
    report: models.JSONField[Any, Any] = models.JSONField(default=dict)
    """The newest WorkerReport."""
    objects = WorkerQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name

    def is_visible_to(self, user: User) -> bool:
        """The rule of `visible_to` for a row that is already here."""
        return self.revoked_at is None and sees_team_or_shared(user, self.team_id)

    @property
    def heartbeat_age_seconds(self) -> float | None:
        return (timezone.now() - self.last_hello_at).total_seconds() if self.last_hello_at else None

    @property
    def online(self) -> bool:
        """Said hello within three rounds."""
        age = self.heartbeat_age_seconds
        return age is not None and age < silence_allowed().total_seconds() and self.revoked_at is None

    @property
    def takes_jobs(self) -> bool:
        """Nobody has told it to take no more."""
        return not (self.drain or self.revoked_at or self.suspended_at or self.report.get("draining"))

    @property
    def serving(self) -> bool:
        """Here, and about to take what it is given."""
        return self.online and self.takes_jobs and not self.report.get("deaf")


class WorkerSample(models.Model):
    """What a worker said of its devices at one moment; kept for an hour."""

    worker = models.ForeignKey(Worker, models.CASCADE, related_name="samples")
    at = models.DateTimeField(default=timezone.now)
    devices: models.JSONField[Any, Any] = models.JSONField()

    class Meta:
        ordering: ClassVar = ["at"]
        indexes: ClassVar = [models.Index(fields=["worker", "at"], name="sample_of_worker")]

    def __str__(self) -> str:
        return f"{self.worker} at {self.at:%H:%M:%S}"
