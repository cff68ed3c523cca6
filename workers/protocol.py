"""Every message that crosses the wall between the site and its workers, and between a worker and its trainer.

Standard library only: both sides import this file, and it imports neither of them.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypedDict

PROTOCOL = 1
"""Version of the worker API. The site serves this one and the one before."""

# ---- Celery: the message is a permit to run the best job -----------------------------------------

RUN_NEXT_JOB = "workers.tasks.run_next_job"
DEFAULT_POOL = "default"


def worker_queue(worker_id: int) -> str:
    """The queue that only this worker listens to; permits for one idle slot go there."""
    return f"worker-{worker_id}"


CELERY_SETTINGS: dict[str, Any] = {
    "result_backend": None,
    "task_ignore_result": True,
    "task_track_started": False,
    "task_serializer": "json",
    "accept_content": ["json"],
    "task_acks_late": False,
    "task_reject_on_worker_lost": False,
    "worker_prefetch_multiplier": 1,
    "worker_disable_prefetch": True,
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    "task_time_limit": None,
    "task_soft_time_limit": None,
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    "broker_transport_options": {
        "visibility_timeout": 3600,
        "global_keyprefix": "deltaboard:",
        "socket_keepalive": True,
        "health_check_interval": 25,
    },
    "task_publish_retry_policy": {
        "max_retries": 3,
        "interval_start": 0,
        "interval_step": 0.2,
        "interval_max": 0.5,
    },
    "worker_hijack_root_logger": False,
    "worker_send_task_events": False,
}
"""Both Celery apps use exactly this: key prefix and visibility timeout must match."""

# ---- Timings ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Timings:
    """How long things may take, in seconds. Tests pass shorter ones by environment."""

    batch_seconds: float = 1.0
    """An event batch, empty or not, is sent at least this often: it is the heartbeat."""
    lease_seconds: float = 30.0
    sweep_seconds: float = 5.0
    ack_limit_seconds: float = 15.0
    cancel_grace_seconds: float = 10.0
    """Between SIGTERM and SIGKILL of a training tree."""
    drain_limit_seconds: float = 120.0
    no_progress_seconds: float = 600.0
    cut_off_seconds: float = 900.0
    """A worker without any answer from the site stops its training after this long."""
    hello_seconds: float = 5.0

    @classmethod
    def from_environment(cls, environment: dict[str, str]) -> Timings:
        """Read `DELTABOARD_TIMINGS`, a JSON object with any of the fields above."""
        return cls(**json.loads(environment.get("DELTABOARD_TIMINGS", "{}")))


MAX_INFRASTRUCTURE_ENDS = 3

# ---- Tasks, reasons -----------------------------------------------------------------------------

Task = Literal["text-classification", "causal-lm", "seq2seq"]

INFRASTRUCTURE_REASONS = frozenset(
    {
        "worker_lost",
        "trainer_killed",
        "host_oom",
        "stalled",
        "disk_full",
        "storage_unreachable",
        "checkpoint_unreadable",
    }
)
"""Ends that count towards the cap and are tried again."""

UNCOUNTED_REASONS = frozenset({"not_acked", "drained", "paused_by_user", "worker_cut_off", "site_restored"})
"""Ends that put the job back without counting."""

USER_REASONS = frozenset(
    {
        "bad_config",
        "bad_data",
        "no_trainable_tokens",
        "gpu_oom",
        "diverged",
        "trainer_error",
        "no_output",
        "time_limit",
        "unsafe_file",
    }
)
"""Ends that are never retried: the same job would end the same way."""

Wish = Literal["run", "pause", "cancel"]
Outcome = Literal["succeeded", "failed", "released", "cancelled"]
"""How an attempt says it ended. `released` gives the job back (drained, paused)."""

# ---- The spec: what a job is, frozen at launch ---------------------------------------------------


@dataclass(frozen=True)
class FileRef:
    """One file known by its content."""

    name: str
    """Path inside its folder, with forward slashes, never absolute."""
    bytes: int
    sha256: str


@dataclass(frozen=True)
class BaseModelRef:
    """The frozen network of a job."""

    id: int
    name: str
    source: str
    """Where it came from, for people: a hub id, a package, a folder's name."""
    revision: str
    """Hub commit or package version; empty for folders."""
    files: tuple[FileRef, ...]

    @property
    def sha256(self) -> str:
        return folder_sha256(self.files)


@dataclass(frozen=True)
class DatasetRef:
    """The rows of a job: one canonical JSONL file, every row with a `split` of train or eval."""

    version_id: int
    name: str
    number: int
    bytes: int
    sha256: str
    labels: tuple[str, ...] = ()
    """Classification only: label names, in the order of their ids."""


@dataclass(frozen=True)
class JobSpec:
    """Everything a training process needs to know, resolved and frozen at launch.

    `options` are those of the method (its `Options` dataclass), `training` those of
    `workers.methods.hyperparameters.Training`, both complete: nothing is defaulted later.
    """

    job_id: int
    name: str
    task: Task
    base_model: BaseModelRef
    dataset: DatasetRef
    method: str
    options: dict[str, Any]
    training: dict[str, Any]
    protocol: int = PROTOCOL

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> JobSpec:
        base_model = dict(data["base_model"])
        base_model["files"] = tuple(FileRef(**file) for file in base_model["files"])
        dataset = dict(data["dataset"])
        dataset["labels"] = tuple(dataset["labels"])
        return cls(**{**data, "base_model": BaseModelRef(**base_model), "dataset": DatasetRef(**dataset)})


def folder_sha256(files: tuple[FileRef, ...] | list[FileRef]) -> str:
    """One hash for a folder: over the sorted `name sha256` lines of its files."""
    lines = "".join(f"{file.sha256}  {file.name}\n" for file in sorted(files, key=lambda file: file.name))
    return hashlib.sha256(lines.encode()).hexdigest()


# ---- The job folder: what the worker lays out and the trainer leaves behind ----------------------


@dataclass(frozen=True)
class JobFolder:
    """The paths of one attempt's folder. The worker writes the inputs, the trainer the rest."""

    path: Path

    @property
    def spec(self) -> Path:
        """`JobSpec` as JSON."""
        return self.path / "spec.json"

    @property
    def dataset(self) -> Path:
        """Canonical rows, one JSON object a line."""
        return self.path / "rows.jsonl"

    @property
    def base_model(self) -> Path:
        """Folder (or link to one) with config.json, *.safetensors and tokenizer files; read-only."""
        return self.path / "base_model"

    @property
    def checkpoints(self) -> Path:
        """`step-00000050/` folders, each complete or absent; also the one to resume from."""
        return self.path / "checkpoints"

    @property
    def artifact(self) -> Path:
        """The delta artifact, complete or absent."""
        return self.path / "artifact"

    @property
    def scratch(self) -> Path:
        return self.path / "scratch"


MANIFEST = "manifest.json"
"""Written last into a checkpoint or artifact folder: its presence means complete."""


@dataclass(frozen=True)
class InspectionFolder:
    """The paths of one inspection's folder."""

    path: Path

    @property
    def question(self) -> Path:
        """`{"kind": …, …}` as JSON."""
        return self.path / "question.json"

    @property
    def inputs(self) -> Path:
        """What the worker fetched for the trainer to look at; read-only."""
        return self.path / "inputs"

    @property
    def output(self) -> Path:
        """Files that the inspection makes and the worker hands in."""
        return self.path / "output"

    @property
    def answer(self) -> Path:
        """The answer as JSON, written last."""
        return self.path / "answer.json"


# ---- The trainer's pipe: one JSON object a line -------------------------------------------------

EVENT_FD_VARIABLE = "DELTABOARD_EVENT_FD"
"""Number of the file descriptor that takes event lines; absent: they go to stdout."""
LIFELINE_VARIABLE = "DELTABOARD_LIFELINE_SECONDS"
"""If set, the trainer exits with EXIT_FENCED when stdin is closed or silent for so long."""
ATTEMPT_VARIABLE = "DELTABOARD_ATTEMPT"
"""Marks every process of an attempt, so that leftovers can be found."""
MAX_EVENT_BYTES = 64 * 1024

EXIT_STOPPED = 3
"""SIGTERM was obeyed: the newest checkpoint is on disk."""
EXIT_FAILED = 1
"""A `failed` event says why."""
EXIT_FENCED = 75
"""The supervisor is gone or no longer owns the attempt."""

EventKind = Literal["phase", "plan", "metrics", "log", "checkpoint", "artifact", "result", "failed", "noise"]


class Event(TypedDict, total=False):
    """One fact that the training process said. `seq` counts from 1 within the attempt, without gaps.

    phase:       phase (loading, training, evaluating, saving), step
    plan:        total_steps, trainable_parameters, total_parameters, threads, device ("cpu", "NVIDIA …"),
                 memory_kind ("VRAM" or "process memory"), device_memory_total_bytes, resumed_step,
                 train_rows, eval_rows, versions
    metrics:     step, epoch, values {name: number}; NaN and infinities travel as "NaN", "Infinity", "-Infinity"
    log:         level (info, warning, error), text
    checkpoint:  step, folder, best
    artifact:    bytes
    result:      final_metrics {name: number}, best_metric {name, value, step} or null, notes [sentence]
    failed:      reason (one of USER_REASONS), sentence, detail {…numbers}
    noise:       count, sample (lines that were not events)
    """

    seq: int
    kind: str
    time: float
    """Unix seconds on the worker, for people; order comes from `seq`."""
    step: int
    phase: str
    total_steps: int
    trainable_parameters: int
    total_parameters: int
    threads: int
    device: str
    memory_kind: str
    device_memory_total_bytes: int
    resumed_step: int
    train_rows: int
    eval_rows: int
    versions: dict[str, str]
    epoch: float
    values: dict[str, float | str]
    level: str
    text: str
    folder: str
    best: bool
    bytes: int
    final_metrics: dict[str, float]
    best_metric: dict[str, Any] | None
    notes: list[str]
    reason: str
    sentence: str
    detail: dict[str, Any]
    count: int
    sample: str


# ---- The worker API, under /api/worker/ ----------------------------------------------------------


@dataclass(frozen=True)
class Device:
    """One thing that a slot trains on."""

    index: int
    kind: Literal["cuda", "cpu"]
    name: str
    memory_bytes: int
    memory_free_bytes: int
    utilisation_percent: float | None = None
    power_watts: float | None = None
    temperature_celsius: float | None = None


@dataclass(frozen=True)
class WorkerReport:
    """`POST hello`, every 5 s: what this worker process is."""

    boot_id: str
    """Random at each start; attempts of an older boot end at once."""
    hostname: str
    version: str
    slots: int
    busy_slots: int
    threads_per_slot: int
    cores: int
    devices: tuple[Device, ...]
    labels: tuple[str, ...] = ()
    draining: bool = False
    isolation: dict[str, bool] = field(default_factory=dict)
    """Sandbox layers by name and whether this host has them."""
    protocol: int = PROTOCOL

    def as_json(self) -> dict[str, Any]:
        return asdict(self)
