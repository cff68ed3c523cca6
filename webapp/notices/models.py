"""What a person wants to hear of, what they were told, and the outbox. Who hears what is for noticing.py to say."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from webapp.accounts.models import Team, User
from webapp.accounts.permissions import in_teams_of
from webapp.jobs.models import Job


class Kind(models.TextChoices):
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    """Put back or paused by infrastructure, not by a person."""
    WORKER_LOST = "worker_lost"


class NoticeChoice(models.Model):
    """One person's choice. Without a row: in-app, for every end of their own jobs."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, related_name="notice_choice")
    in_app = models.BooleanField(default=True)
    email = models.BooleanField(default=False)
    webhook_url = models.CharField(max_length=500, blank=True)
    sealed_secret = models.TextField(blank=True)
    """What webhooks are signed with, encrypted (sealing.py)."""
    succeeded = models.BooleanField(default=True)
    failed = models.BooleanField(default=True)
    cancelled = models.BooleanField(default=True)
    """Cancelled by somebody else."""
    interrupted = models.BooleanField(default=True)
    worker_lost = models.BooleanField(default=False)
    """For maintainers: a worker vanished while it had a job of their team."""
    teams = models.ManyToManyField(Team, blank=True, related_name="+")
    """All jobs of these teams, besides one's own."""

    def __str__(self) -> str:
        return f"notices of {self.user}"

    @classmethod
    def of(cls, user: User) -> NoticeChoice:
        """The person's saved choice, or the unsaved default."""
        return cls.objects.filter(user=user).first() or cls(user=user)

    def wants(self, kind: str) -> bool:
        return bool(getattr(self, kind))


class NoticeQuerySet(models.QuerySet["Notice"]):
    def of_visible_jobs(self, user: User) -> NoticeQuerySet:
        """The person's own, but for jobs that they may no longer see."""
        return self.filter(in_teams_of(user, "job__team"), user=user)

    def visible_to(self, user: User) -> NoticeQuerySet:
        """Those that stand in the person's list."""
        return self.of_visible_jobs(user).filter(in_app=True)

    def unread(self) -> NoticeQuerySet:
        return self.filter(read_at=None)


class Notice(models.Model):
    """One person was told one thing, once: `key` names the happening, whoever reports it and however often."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="notices")
    key = models.CharField(max_length=120)
    job = models.ForeignKey(Job, models.CASCADE, related_name="+")
    kind = models.CharField(max_length=12, choices=Kind.choices)
    sentence = models.TextField()
    in_app = models.BooleanField(default=True)
    """Shown in the list; otherwise it only went out by e-mail or webhook."""
    created_at = models.DateTimeField(auto_now_add=True)
    read_at = models.DateTimeField(null=True)
    objects = NoticeQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [
            models.Index(fields=["user", "-id"], name="notice_newest"),
            models.Index(fields=["user"], condition=Q(read_at=None), name="notice_unread"),
        ]
        constraints: ClassVar = [models.UniqueConstraint(fields=["user", "key"], name="told_once")]

    def __str__(self) -> str:
        return self.sentence


class Channel(models.TextChoices):
    EMAIL = "email"
    WEBHOOK = "webhook"


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def given_up(self) -> DeliveryQuerySet:
        return self.filter(gave_up_at__isnull=False)


class Delivery(models.Model):
    """One notice on its way out by one channel: the row is the outbox. Sent at least once, always under its uuid."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    notice = models.ForeignKey(Notice, models.CASCADE, related_name="deliveries")
    channel = models.CharField(max_length=8, choices=Channel.choices)
    address = models.CharField(max_length=500)
    host = models.CharField(max_length=260)
    """Of the webhook; so that one dead host takes only its own places."""
    body: models.JSONField[Any, Any] = models.JSONField()
    tries = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True)
    """Empty once it was sent or given up."""
    sent_at = models.DateTimeField(null=True)
    gave_up_at = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    objects = DeliveryQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-id"]
        verbose_name_plural = "deliveries"
        indexes: ClassVar = [
            models.Index(fields=["next_try_at"], condition=Q(next_try_at__isnull=False), name="delivery_due"),
        ]
        constraints: ClassVar = [models.UniqueConstraint(fields=["notice", "channel"], name="one_delivery_a_channel")]

    def __str__(self) -> str:
        return f"{self.channel} {self.uuid}"
