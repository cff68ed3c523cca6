"""The trainer's pipe: one JSON object a line."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

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
