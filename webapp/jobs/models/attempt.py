"""Attempts: one execution of a job on one worker, with its own fencing token and lease."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone

from webapp.jobs.models.job import Job
from webapp.jobs.models.worker import Worker


class Attempt(models.Model):
    """One execution of a job on one worker, with its own fencing token and lease."""

    class State(models.TextChoices):
        STARTING = "starting"
        RUNNING = "running"
        ENDED = "ended"

    job = models.ForeignKey(Job, models.CASCADE, related_name="attempts")
    number = models.PositiveIntegerField()
    worker = models.ForeignKey(Worker, models.PROTECT, related_name="attempts")
    boot_id = models.CharField(max_length=40)
    claim_id = models.CharField(max_length=40)
    slot = models.PositiveSmallIntegerField(default=0)
    threads = models.PositiveSmallIntegerField(default=1)
    devices: models.JSONField[Any, Any] = models.JSONField(default=list)
    """What it trains on, as the worker described it at the claim: one entry for each GPU or CPU slot."""
    token_prefix = models.CharField(max_length=8, unique=True)
    token_sha256 = models.CharField(max_length=64)
    state = models.CharField(max_length=10, choices=State.choices, default=State.STARTING)
    outcome = models.CharField(max_length=12, blank=True)
    reason_code = models.CharField(max_length=40, blank=True)
    lease_until = models.DateTimeField()
    created_at = models.DateTimeField(auto_now_add=True)
    acked_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    acked_seq = models.BigIntegerField(default=0)
    resumed_step = models.PositiveIntegerField(default=0)

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["job", "number"], name="attempt_number_once"),
            models.UniqueConstraint(fields=["worker", "claim_id"], name="claim_answered_once"),
        ]
        indexes: ClassVar = [models.Index(fields=["ended_at"], name="attempt_by_end")]

    def __str__(self) -> str:
        return f"{self.job.name} attempt {self.number}"

    @property
    def heartbeat_age_seconds(self) -> float:
        """Seconds since the lease was last renewed."""
        renewed = self.lease_until - timedelta(seconds=settings.TIMINGS.lease_seconds)
        return max(0.0, (timezone.now() - renewed).total_seconds())
