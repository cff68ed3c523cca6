"""The catalogue of base models: where each came from, what it is, and whether it may be used."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.urls import reverse

from webapp.accounts.models import Team, User
from webapp.accounts.permissions import in_teams_of_or_shared
from workers.methods.shape import Shape
from workers.protocol import BaseModelRef, FileRef


class Source(models.TextChoices):
    HUB = "hub"
    FOLDER = "folder"
    STARTER = "starter"


class BaseModelState(models.TextChoices):
    CHECKING = "checking"
    READY = "ready"
    REFUSED = "refused"


class BaseModelQuerySet(models.QuerySet["BaseModel"]):
    def visible_to(self, user: User) -> BaseModelQuerySet:
        return self.filter(in_teams_of_or_shared(user))

    def ready(self) -> BaseModelQuerySet:
        return self.filter(state=BaseModelState.READY)


class BaseModel(models.Model):
    """A frozen network at one pinned revision. No team means: readable by all teams."""

    team = models.ForeignKey(Team, models.PROTECT, null=True, blank=True, related_name="base_models")
    name = models.CharField(max_length=200)
    source = models.CharField(max_length=10, choices=Source.choices)
    hub_id = models.CharField(max_length=200, blank=True)
    revision = models.CharField(max_length=80, blank=True)
    folder = models.CharField(max_length=500, blank=True)
    """Registered folders stay where they are: the path on the site's machine."""
    starter = models.CharField(max_length=60, blank=True)
    state = models.CharField(max_length=10, choices=BaseModelState.choices, default=BaseModelState.CHECKING)
    problem: models.JSONField[Any, Any] = models.JSONField(null=True)
    """Why it was refused: code, message, hint."""
    progress = models.CharField(max_length=200, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    idempotency_key = models.CharField(max_length=100, null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    architecture = models.CharField(max_length=80, blank=True)
    model_type = models.CharField(max_length=40, blank=True)
    parameters = models.BigIntegerField(default=0)
    dtype = models.CharField(max_length=12, blank=True)
    bytes = models.BigIntegerField(default=0)
    tasks: models.JSONField[Any, Any] = models.JSONField(default=list)
    chat_template = models.BooleanField(default=False)
    licence = models.CharField(max_length=120, blank=True)
    shape: models.JSONField[Any, Any] = models.JSONField(null=True)
    files: models.JSONField[Any, Any] = models.JSONField(default=list)
    """[{name, bytes, sha256, key}]; key is empty for registered folders."""
    objects = BaseModelQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["team", "idempotency_key"], name="basemodel_asked_for_once"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("basemodels:detail", args=[self.pk])

    @cached_property
    def read_shape(self) -> Shape:
        """The stored shape. Raises ValueError before an inspection has answered."""
        if self.shape is None:
            raise ValueError(f"{self.name} has no shape yet")
        return Shape.from_json(self.shape)

    @property
    def origin(self) -> str:
        """Where it came from, for people and for the artifact's card."""
        return self.hub_id or self.name

    def as_reference(self) -> BaseModelRef:
        """What a job's spec says of it."""
        files = tuple(FileRef(file["name"], file["bytes"], file["sha256"]) for file in self.files)
        return BaseModelRef(self.pk, self.name, self.origin, self.revision, files)
