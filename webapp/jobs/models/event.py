"""What attempts said: events as rows, metrics as columns, in the job's own numbering."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models

from webapp.jobs.columns import Columns
from webapp.jobs.models.attempt import Attempt
from webapp.jobs.models.job import Job

LARGE_CHUNK_POINTS = 1000
"""Small metric chunks are merged into ones of at least so many steps."""


class Event(models.Model):
    """Everything but metrics that an attempt said, and every change of state, in the job's own numbering."""

    job = models.ForeignKey(Job, models.CASCADE, related_name="events")
    attempt = models.ForeignKey(Attempt, models.CASCADE, null=True, related_name="events")
    number = models.BigIntegerField()
    at = models.DateTimeField(auto_now_add=True)
    kind = models.CharField(max_length=20)
    body: models.JSONField[Any, Any] = models.JSONField()

    class Meta:
        ordering: ClassVar = ["job", "number"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["job", "number"], name="event_number_once")]

    def __str__(self) -> str:
        return f"{self.kind} {self.number}"


class MetricChunk(models.Model):
    """The numbers of one or many logged steps, as columns (see columns.py)."""

    job = models.ForeignKey(Job, models.CASCADE, related_name="chunks")
    attempt = models.ForeignKey(Attempt, models.CASCADE, related_name="chunks")
    first_event = models.BigIntegerField()
    last_event = models.BigIntegerField()
    first_step = models.PositiveIntegerField()
    last_step = models.PositiveIntegerField()
    points = models.PositiveIntegerField()
    payload = models.BinaryField()

    class Meta:
        ordering: ClassVar = ["job", "first_event"]
        indexes: ClassVar = [models.Index(fields=["job", "last_event"], name="chunk_after_event")]

    def __str__(self) -> str:
        return f"steps {self.first_step} to {self.last_step}"

    @property
    def columns(self) -> Columns:
        return Columns.unpack(bytes(self.payload))
