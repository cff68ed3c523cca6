"""A study: jobs over methods, sizes and seeds on one dataset version and base model, compared fairly."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.urls import reverse

from webapp.accounts.models import Team, User
from webapp.accounts.permissions import in_teams_of
from webapp.basemodels.models import BaseModel
from webapp.datasets.models import DatasetVersion


class StudyQuerySet(models.QuerySet["Study"]):
    def visible_to(self, user: User) -> StudyQuerySet:
        return self.filter(in_teams_of(user))


class Study(models.Model):
    """What its jobs have in common; each job keeps its own frozen spec."""

    team = models.ForeignKey(Team, models.PROTECT, related_name="studies")
    name = models.CharField(max_length=120)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="studies")
    base_model = models.ForeignKey(BaseModel, models.PROTECT, related_name="studies")
    dataset_version = models.ForeignKey(DatasetVersion, models.PROTECT, related_name="studies")
    training: models.JSONField[Any, Any] = models.JSONField(default=dict)
    """The budget that every job of it has: fields of Training that the person set."""
    created_at = models.DateTimeField(auto_now_add=True)
    objects = StudyQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-id"]
        verbose_name_plural = "studies"

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("jobs:study", args=[self.pk])
