"""Jobs, their attempts, and what attempts leave behind. Only transitions.py changes a job's state."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone

from webapp.accounts.models import Team, User
from webapp.accounts.permissions import in_teams_of, in_teams_of_or_shared
from webapp.basemodels.models import BaseModel
from webapp.datasets.models import DatasetVersion
from webapp.jobs.columns import Columns
from workers.protocol import DEFAULT_POOL, JobSpec

LARGE_CHUNK_POINTS = 1000
"""Small metric chunks are merged into ones of at least so many steps."""


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
        return self.select_related("team", "created_by", "base_model", "dataset_version__dataset").defer("spec")

    def in_queue_order(self) -> JobQuerySet:
        return self.order_by("-priority", "queue_position", "id")


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
    seconds_per_step = models.FloatField(null=True)
    """Exponential mean over the newest steps."""
    trainable_parameters = models.BigIntegerField(null=True)
    total_parameters = models.BigIntegerField(null=True)
    last_loss = models.FloatField(null=True)
    best_metric: models.JSONField[Any, Any] = models.JSONField(null=True)
    final_metrics: models.JSONField[Any, Any] = models.JSONField(default=dict)
    notes: models.JSONField[Any, Any] = models.JSONField(default=list)
    tokens_per_second = models.FloatField(null=True)
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
    def read_spec(self) -> JobSpec:
        return JobSpec.from_json(self.spec)

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
    def progress(self) -> float:
        """Share of the steps done, 0 to 1."""
        return min(1.0, self.step / self.total_steps) if self.total_steps else 0.0

    @property
    def eta_seconds(self) -> float | None:
        """Seconds left, from the newest steps' pace; None where nothing is known or nothing moves."""
        if not self.at_work or self.seconds_per_step is None:
            return None
        return (self.total_steps - self.step) * self.seconds_per_step


class WorkerQuerySet(models.QuerySet["Worker"]):
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
    drain = models.BooleanField(default=False)
    boot_id = models.CharField(max_length=40, blank=True)
    last_hello_at = models.DateTimeField(null=True)
    report: models.JSONField[Any, Any] = models.JSONField(default=dict)
    """The newest WorkerReport."""
    objects = WorkerQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def heartbeat_age_seconds(self) -> float | None:
        return (timezone.now() - self.last_hello_at).total_seconds() if self.last_hello_at else None

    @property
    def online(self) -> bool:
        """Said hello within three rounds."""
        age = self.heartbeat_age_seconds
        return age is not None and age < 3 * settings.TIMINGS.hello_seconds and self.revoked_at is None


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
    device: models.JSONField[Any, Any] = models.JSONField(null=True)
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

    def __str__(self) -> str:
        return f"{self.job.name} attempt {self.number}"

    @property
    def small_chunks(self) -> int:
        """How many metric chunks hold less than a large one's points."""
        return self.chunks.filter(points__lt=LARGE_CHUNK_POINTS).count()

    @property
    def heartbeat_age_seconds(self) -> float:
        """Seconds since the lease was last renewed."""
        renewed = self.lease_until - timedelta(seconds=settings.TIMINGS.lease_seconds)
        return max(0.0, (timezone.now() - renewed).total_seconds())


class StateChange(models.Model):
    """One line of a job's history; transitions.py writes them, nobody changes them."""

    job = models.ForeignKey(Job, models.CASCADE, related_name="history")
    at = models.DateTimeField(auto_now_add=True)
    before = models.CharField(max_length=12, blank=True)
    after = models.CharField(max_length=12)
    actor = models.CharField(max_length=100)
    """A username, `worker NAME`, or `reconciler`."""
    attempt = models.ForeignKey(Attempt, models.SET_NULL, null=True, related_name="+")
    reason_code = models.CharField(max_length=40, blank=True)

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return f"{self.before or 'new'} → {self.after}"


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

    class Meta:
        ordering: ClassVar = ["-step", "-id"]

    def __str__(self) -> str:
        return f"step {self.step} of {self.job}"


class ArtifactQuerySet(models.QuerySet["Artifact"]):
    def visible_to(self, user: User) -> ArtifactQuerySet:
        return self.filter(in_teams_of(user, "job__team"))


class Artifact(models.Model):
    """What a job leaves behind; the row exists only once every file is stored and checked."""

    job = models.ForeignKey(Job, models.CASCADE, related_name="artifacts")
    attempt = models.ForeignKey(Attempt, models.CASCADE, related_name="artifacts")
    kind = models.CharField(max_length=12, default="delta")
    bytes = models.BigIntegerField()
    files: models.JSONField[Any, Any] = models.JSONField()
    """[{name, bytes, sha256, key}]"""
    manifest: models.JSONField[Any, Any] = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)
    objects = ArtifactQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return f"{self.kind} of {self.job}"

    def get_absolute_url(self) -> str:
        return reverse("jobs:artifact", args=[self.pk])


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
    def open(self) -> bool:
        return self.state in (self.State.QUEUED, self.State.RUNNING)


class StoredPart(models.Model):
    """A file that an attempt or inspection has handed in and that nothing lists yet."""

    attempt = models.ForeignKey(Attempt, models.CASCADE, null=True, related_name="parts")
    inspection = models.ForeignKey(Inspection, models.CASCADE, null=True, related_name="parts")
    sha256 = models.CharField(max_length=64)
    bytes = models.BigIntegerField()
    key = models.CharField(max_length=255)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["attempt", "sha256"], name="part_once_per_attempt"),
            models.UniqueConstraint(fields=["inspection", "sha256"], name="part_once_per_inspection"),
        ]

    def __str__(self) -> str:
        return self.key
