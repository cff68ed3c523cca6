"""Questions that only a worker can answer."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.db import models

from webapp.basemodels.models import BaseModel
from webapp.datasets.models import DatasetVersion
from webapp.jobs.models.worker import Worker
from workers.protocol import DEFAULT_POOL


class Inspection(models.Model):
    """A short question that a worker answers: a row with a lease, claimed like a job."""

    class State(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        ANSWERED = "answered"
        FAILED = "failed"

    question: models.JSONField[Any, Any] = models.JSONField()
    """{"kind": …, …}"""
    files: models.JSONField[Any, Any] = models.JSONField(default=list)
    """Inputs that the worker fetches from us: [{name, bytes, sha256, key or path}]."""
    pool = models.CharField(max_length=40, default=DEFAULT_POOL)
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    base_model = models.ForeignKey(BaseModel, models.CASCADE, null=True, related_name="inspections")
    dataset_version = models.ForeignKey(DatasetVersion, models.CASCADE, null=True, related_name="inspections")
    """Whose rows it reads, with the tokenizer of `base_model`."""
    artifact = models.ForeignKey("jobs.Artifact", models.CASCADE, null=True, related_name="inspections")
    """The delta that it merges."""
    starter = models.CharField(max_length=60, blank=True)
    progress_text = models.CharField(max_length=200, blank=True)
    progress_fraction = models.FloatField(null=True)
    answer: models.JSONField[Any, Any] = models.JSONField(null=True)
    problem: models.JSONField[Any, Any] = models.JSONField(null=True)
    """code, message, hint"""
    tries = models.PositiveSmallIntegerField(default=0)
    worker = models.ForeignKey(Worker, models.SET_NULL, null=True, related_name="inspections")
    boot_id = models.CharField(max_length=40, blank=True)
    claim_id = models.CharField(max_length=40, blank=True)
    token_prefix = models.CharField(max_length=8, null=True, unique=True)
    token_sha256 = models.CharField(max_length=64, blank=True)
    lease_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return f"{self.question.get('kind')} {self.pk}"

    @property
    def team_id(self) -> int | None:
        """The team whose own workers may answer it; None where only the shared ones may."""
        if self.artifact is not None:
            return self.artifact.job.team_id
        found = self.dataset_version.dataset.team_id if self.dataset_version else None
        return found or (self.base_model.team_id if self.base_model else None)

    @property
    def is_about_base_model(self) -> bool:
        """Its answer decides whether the base model can be used."""
        return self.question.get("kind") in ("base_model_shape", "hub_base_model")

    @property
    def open(self) -> bool:
        return self.state in (self.State.QUEUED, self.State.RUNNING)
