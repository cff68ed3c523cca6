"""Jobs, their attempts, and what attempts leave behind; one file per noun."""

from __future__ import annotations

from webapp.jobs.models.attempt import Attempt
from webapp.jobs.models.event import LARGE_CHUNK_POINTS, Event, MetricChunk
from webapp.jobs.models.file import Artifact, ArtifactQuerySet, Checkpoint, StoredPart, delta_of
from webapp.jobs.models.inspection import Inspection
from webapp.jobs.models.job import AT_WORK, ENDED, Job, JobQuerySet, JobState, StateChange
from webapp.jobs.models.study import Study, StudyQuerySet
from webapp.jobs.models.sweep import Sweep
from webapp.jobs.models.worker import Worker, WorkerQuerySet, WorkerSample, removed_for_good, serves_nobody

__all__ = [
    "AT_WORK",
    "ENDED",
    "LARGE_CHUNK_POINTS",
    "Artifact",
    "ArtifactQuerySet",
    "Attempt",
    "Checkpoint",
    "Event",
    "Inspection",
    "Job",
    "JobQuerySet",
    "JobState",
    "MetricChunk",
    "StateChange",
    "StoredPart",
    "Study",
    "StudyQuerySet",
    "Sweep",
    "Worker",
    "WorkerQuerySet",
    "WorkerSample",
    "delta_of",
    "removed_for_good",
    "serves_nobody",
]
