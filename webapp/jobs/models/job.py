"""A job, its history of states, and the queue's order. Only transitions.py changes a job's state."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.urls import reverse

from webapp.accounts.models import Team, User
from webapp.accounts.permissions import in_teams_of
from webapp.basemodels.models import BaseModel
from webapp.datasets.models import DatasetVersion
from webapp.jobs.models.study import Study
from webapp.jobs.pace import Left, left, usual
from workers.protocol import DEFAULT_POOL, JobSpec


class JobState(models.TextChoices):
    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)
AT_WORK = (JobState.STARTING, JobState.RUNNING)


class JobQuerySet(models.QuerySet["Job"]):
    def visible_to(self, user: User) -> JobQuerySet:
        return self.filter(in_teams_of(user))

    def for_list(self) -> JobQuerySet:
        """With all that a list row shows, in one query."""
        related = ("team", "created_by", "base_model", "dataset_version__dataset", "study")
        return self.select_related(*related).defer("spec")


class Job(models.Model):
    """One fine-tune that a person asked for; the row is the job, and its spec is frozen."""

    team = models.ForeignKey(Team, models.PROTECT, related_name="jobs")
    name = models.CharField(max_length=120)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="jobs")
    base_model = models.ForeignKey(BaseModel, models.PROTECT, related_name="jobs")
    dataset_version = models.ForeignKey(DatasetVersion, models.PROTECT, related_name="jobs")
    method = models.CharField(max_length=40)
    task = models.CharField(max_length=30)
    spec: models.JSONField[Any, Any] = models.JSONField()
    pool = models.CharField(max_length=40, default=DEFAULT_POOL)
    priority = models.IntegerField(default=0)
    queue_position = models.FloatField(default=0)
    gpus = models.PositiveSmallIntegerField(default=1)
    """How many GPUs (or CPU slots) of one machine it trains on at once."""
    least_memory_bytes = models.BigIntegerField(null=True)
    """No device with less free memory is offered this job."""
    estimated: models.JSONField[Any, Any] = models.JSONField(default=dict)
    """What was said before it started: memory and seconds, each [low, high], and whether that was rough."""
    run_after = models.DateTimeField(null=True, blank=True)
    """The person's wish: not before this moment."""
    not_before = models.DateTimeField(null=True, blank=True)
    """Set by the site after an infrastructure end: the next attempt waits until then."""
    reserved_on = models.ForeignKey("Worker", models.SET_NULL, null=True, blank=True, related_name="+")
    """The worker that takes nothing else until enough of its slots are free for this job."""
    study = models.ForeignKey(Study, models.SET_NULL, null=True, blank=True, related_name="jobs")
    retry_of = models.ForeignKey("self", models.SET_NULL, null=True, blank=True, related_name="retries")
    idempotency_key = models.CharField(max_length=100, null=True, blank=True)

    state = models.CharField(max_length=12, choices=JobState.choices, default=JobState.QUEUED)
    wish = models.CharField(max_length=8, default="run")
    reason_code = models.CharField(max_length=40, blank=True)
    reason_sentence = models.TextField(blank=True)
    reason_detail: models.JSONField[Any, Any] = models.JSONField(default=dict)
    log_tail: models.JSONField[Any, Any] = models.JSONField(default=list)
    infrastructure_ends = models.PositiveSmallIntegerField(default=0)
    attempts_made = models.PositiveIntegerField(default=0)
    current_attempt = models.ForeignKey("Attempt", models.SET_NULL, null=True, blank=True, related_name="+")
    threads = models.PositiveSmallIntegerField(null=True)
    """CPU threads of the first attempt: a resume uses the same number, or it would not be bit-exact."""
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    last_event = models.BigIntegerField(default=0)
    """The job-wide number of its newest event: the cursor of the live view."""
    phase = models.CharField(max_length=20, blank=True)
    step = models.PositiveIntegerField(default=0)
    total_steps = models.PositiveIntegerField(default=0)
    epoch = models.FloatField(default=0)
    pace: models.JSONField[Any, Any] = models.JSONField(default=dict)
    """How long its newest steps took; pace.py reads and writes it."""
    trainable_parameters = models.BigIntegerField(null=True)
    total_parameters = models.BigIntegerField(null=True)
    last_loss = models.FloatField(null=True)
    best_metric: models.JSONField[Any, Any] = models.JSONField(null=True)
    final_metrics: models.JSONField[Any, Any] = models.JSONField(default=dict)
    notes: models.JSONField[Any, Any] = models.JSONField(default=list)
    """What the training found worth telling."""
    remark = models.CharField(max_length=500, blank=True)
    """What a person wrote down about it."""
    forward_pass: models.JSONField[Any, Any] = models.JSONField(default=dict)
    """Seconds of a pass of the base model, with the delta and merged, rows and tokens; empty: not timed."""
    tokens_per_second = models.FloatField(null=True)
    tokens_seen = models.BigIntegerField(null=True)
    energy_joules = models.FloatField(null=True)
    """Of all steps that were taken, repeated ones too; null where no device told its power."""
    peak_memory_bytes = models.BigIntegerField(null=True)
    memory_kind = models.CharField(max_length=20, blank=True)
    device = models.CharField(max_length=80, blank=True)
    device_memory_total_bytes = models.BigIntegerField(null=True)
    objects = JobQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [
            models.Index(fields=["state", "pool", "-priority", "queue_position"], name="job_queue_order"),
            models.Index(fields=["team", "-id"], name="job_team_newest"),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["team", "idempotency_key"], name="job_asked_for_once"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("jobs:detail", args=[self.pk])

    @property
    def full_spec(self) -> dict[str, Any]:
        """With the job's own id, which is known only once the row is there."""
        return {**self.spec, "job_id": self.pk}

    @property
    def read_spec(self) -> JobSpec:
        return JobSpec.from_json(self.full_spec)

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def at_work(self) -> bool:
        return self.state in AT_WORK

    @property
    def trainable_percent(self) -> float | None:
        if not self.trainable_parameters or not self.total_parameters:
            return None
        return 100 * self.trainable_parameters / self.total_parameters

    @property
    def delta_slowdown(self) -> float | None:
        """Time of a forward pass with the delta beside the base model, as a multiple of the base model's."""
        return self._slowdown("delta_seconds")

    @property
    def merged_slowdown(self) -> float | None:
        """The same with the delta merged into the weights."""
        return self._slowdown("merged_seconds")

    def _slowdown(self, name: str) -> float | None:
        taken, base = self.forward_pass.get(name), self.forward_pass.get("base_seconds")
        return taken / base if taken and base else None

    @property
    def progress(self) -> float:
        """Share of the steps done, 0 to 1."""
        return min(1.0, self.step / self.total_steps) if self.total_steps else 0.0

    @property
    def seconds_per_step(self) -> float | None:
        """Of its newest steps, pauses and all."""
        return usual(self.pace)

    @property
    def left(self) -> Left | None:
        """How long it still takes; None where nothing is known or nothing moves."""
        return left(self.pace, self.total_steps - self.step) if self.at_work and self.total_steps else None


class StateChange(models.Model):
    """One line of a job's history; transitions.py writes them, nobody changes them."""

    job = models.ForeignKey(Job, models.CASCADE, related_name="history")
    at = models.DateTimeField(auto_now_add=True)
    before = models.CharField(max_length=12, blank=True)
    after = models.CharField(max_length=12)
    actor = models.CharField(max_length=100)
    """A username, `worker NAME`, or `reconciler`."""
    attempt = models.ForeignKey("Attempt", models.SET_NULL, null=True, related_name="+")
    reason_code = models.CharField(max_length=40, blank=True)

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return f"{self.before or 'new'} → {self.after}"
