"""Every message that crosses the wall between the site and its workers, and between a worker and its trainer.

Standard library only: both sides import this room, and it imports neither of them.
"""

from __future__ import annotations

from workers.protocol.folders import MANIFEST, InspectionFolder, JobFolder
from workers.protocol.hello import Device, WorkerReport
from workers.protocol.permits import (
    CELERY_SETTINGS,
    DEFAULT_POOL,
    POOL_RULE,
    RUN_NEXT_JOB,
    is_pool,
    pool_queue,
    worker_queue,
)
from workers.protocol.pipe import (
    ATTEMPT_VARIABLE,
    EVENT_FD_VARIABLE,
    EXIT_FAILED,
    EXIT_FENCED,
    EXIT_STOPPED,
    LIFELINE_VARIABLE,
    MAX_EVENT_BYTES,
    Event,
    EventKind,
)
from workers.protocol.reasons import (
    INFRASTRUCTURE_REASONS,
    MAX_INFRASTRUCTURE_ENDS,
    UNCOUNTED_REASONS,
    USER_REASONS,
    Outcome,
    Wish,
)
from workers.protocol.sandbox import LAYERS, Layer, missing_layers
from workers.protocol.spec import BaseModelRef, DatasetRef, FileRef, JobSpec, Task, folder_sha256
from workers.protocol.timings import Timings
from workers.protocol.version import ARRIVED_DAMAGED, OLDEST_PROTOCOL, PROTOCOL

__all__ = [
    "ARRIVED_DAMAGED",
    "ATTEMPT_VARIABLE",
    "CELERY_SETTINGS",
    "DEFAULT_POOL",
    "EVENT_FD_VARIABLE",
    "EXIT_FAILED",
    "EXIT_FENCED",
    "EXIT_STOPPED",
    "INFRASTRUCTURE_REASONS",
    "LAYERS",
    "LIFELINE_VARIABLE",
    "MANIFEST",
    "MAX_EVENT_BYTES",
    "MAX_INFRASTRUCTURE_ENDS",
    "OLDEST_PROTOCOL",
    "POOL_RULE",
    "PROTOCOL",
    "RUN_NEXT_JOB",
    "UNCOUNTED_REASONS",
    "USER_REASONS",
    "BaseModelRef",
    "DatasetRef",
    "Device",
    "Event",
    "EventKind",
    "FileRef",
    "InspectionFolder",
    "JobFolder",
    "JobSpec",
    "Layer",
    "Outcome",
    "Task",
    "Timings",
    "Wish",
    "WorkerReport",
    "folder_sha256",
    "is_pool",
    "missing_layers",
    "pool_queue",
    "worker_queue",
]
