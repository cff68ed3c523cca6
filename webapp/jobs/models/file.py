"""What attempts leave behind: checkpoints, delta artifacts, and parts that nothing lists yet."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.urls import reverse
from django.utils import timezone

from webapp.accounts.models import User
from webapp.accounts.permissions import in_teams_of
from webapp.jobs.models.attempt import Attempt
from webapp.jobs.models.inspection import Inspection
from webapp.jobs.models.job import Job


class Checkpoint(models.Model):
    """What a later attempt resumes from: complete, with every file checked."""

    job = models.ForeignKey(Job, models.CASCADE, related_name="checkpoints")
    attempt = models.ForeignKey(Attempt, models.CASCADE, related_name="checkpoints")
    step = models.PositiveIntegerField()
    best = models.BooleanField(default=False)
    bytes = models.BigIntegerField()
    files: models.JSONField[Any, Any] = models.JSONField()
    """[{name, bytes, sha256, key}]"""
    created_at = models.DateTimeField(auto_now_add=True)
    damaged_at = models.DateTimeField(null=True)
    """A file of it no longer has its hash: nobody resumes from it."""

    class Meta:
        ordering: ClassVar = ["-step", "-id"]

    def __str__(self) -> str:
        return f"step {self.step} of {self.job}"


class ArtifactQuerySet(models.QuerySet["Artifact"]):
    def visible_to(self, user: User) -> ArtifactQuerySet:
        return self.filter(in_teams_of(user, "job__team"))


class Artifact(models.Model):
    """What a job leaves behind; the row exists only once every file is stored and checked."""

    class Kind(models.TextChoices):
        DELTA = "delta"
        MERGED = "merged"

    job = models.ForeignKey(Job, models.CASCADE, related_name="artifacts")
    attempt = models.ForeignKey(Attempt, models.CASCADE, related_name="artifacts")
    kind = models.CharField(max_length=12, choices=Kind.choices, default=Kind.DELTA)
    bytes = models.BigIntegerField()
    files: models.JSONField[Any, Any] = models.JSONField()
    """[{name, bytes, sha256, key}]"""
    manifest: models.JSONField[Any, Any] = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)
    checked_at = models.DateTimeField(default=timezone.now)
    """When every file was last compared with its hash."""
    damaged_at = models.DateTimeField(null=True)
    """A file of it no longer has its hash: it is not served."""
    objects = ArtifactQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return f"{self.kind} of {self.job}"

    def get_absolute_url(self) -> str:
        return reverse("jobs:artifact", args=[self.pk])


def delta_of(job: Job) -> Artifact | None:
    """What the job left behind; read from all its artifacts, which lists fetch beforehand."""
    return next((each for each in job.artifacts.all() if each.kind == Artifact.Kind.DELTA), None)


class StoredPart(models.Model):
    """A file that an attempt or inspection has handed in and that nothing lists yet."""

    attempt = models.ForeignKey(Attempt, models.CASCADE, null=True, related_name="parts")
    inspection = models.ForeignKey(Inspection, models.CASCADE, null=True, related_name="parts")
    sha256 = models.CharField(max_length=64)
    bytes = models.BigIntegerField()
    key = models.CharField(max_length=255)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["attempt", "sha256"], name="part_once_per_attempt"),
            models.UniqueConstraint(fields=["inspection", "sha256"], name="part_once_per_inspection"),
        ]

    def __str__(self) -> str:
        return self.key
