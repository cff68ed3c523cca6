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

    phase:       phase (loading, training, evaluating, saving), step; after an evaluation of a model that writes text
                 also samples [{prompt, wanted, said}], the same prompts every time
    plan:        total_steps, trainable_parameters, total_parameters, threads (of each process), processes,
                 device ("cpu", "NVIDIA …"),
                 memory_kind ("VRAM" or "process memory"), device_memory_total_bytes, resumed_step,
                 train_rows, eval_rows, versions
    metrics:     step, epoch, values {name: number}; NaN and infinities travel as "NaN", "Infinity", "-Infinity". With
                 each step loss, learning_rate, grad_norm, tokens_per_second, samples_per_second, tokens_seen,
                 step_seconds, data_wait_share (0 to 1), and where the time since the step before went:
                 spent_PART_seconds for data, forward_backward, optimizer, evaluation, saving; what memory and sensors
                 say: device_memory_bytes, allocated_, reserved_memory_bytes, each also _peak_bytes,
                 device_utilisation_percent, power_watts, power_limit_watts, temperature_celsius; with an evaluation
                 eval_NAME. The worker, which sees more than the trainer in its sandbox, adds about once a second
                 host_cpu_percent, host_memory_percent, disk_free_bytes (of its own folder),
                 network_received_bytes_per_second and network_sent_bytes_per_second
    log:         level (info, warning, error), text
    checkpoint:  step, folder, best
    artifact:    bytes
    result:      final_metrics {name: number}, best_metric {name, value, step} or null, notes [sentence],
                 forward_pass {base_seconds, delta_seconds, merged_seconds where the method merges, rows, tokens}:
                 one pass on the device that trained, median of several; null where it was not timed
    failed:      reason (one of USER_REASONS, or disk_full, storage_unreachable, checkpoint_unreadable, host_oom),
                 sentence, detail {…numbers}
    noise:       count, sample (lines that were not events)

    `detail` holds what was in force and how far it came, as soon as it is known, whatever the reason:
                 batch_size (rows over all processes), micro_batch (rows of one process in one forward pass), processes,
                 gradient_accumulation, gradient_checkpointing, max_length, learning_rate, warmup, precision,
                 rank (where the method has one), train_rows, trainable_token_share (causal LM; 0 to 1),
                 total_steps, step (last one done), batch_rows and batch_length (the last forward pass; tokens)
    and by reason:
      gpu_oom                wanted_bytes, free_bytes, total_bytes, peak_allocated_bytes; each where CUDA says it
      diverged               steps_not_finite, last_finite_loss or null, suggested_learning_rate
      disk_full              needed_bytes, free_bytes, needed_files, free_files
      storage_unreachable    errno, unless the disk is read-only
      checkpoint_unreadable  step (of that checkpoint)
      no_trainable_tokens    rows
      bad_data               row
      bad_config             field, or gpus (that are there)
      trainer_error          error (name of the exception)
    """

    seq: int
    kind: str
    time: float
    """Unix seconds on the worker, for people; order comes from `seq`."""
    step: int
    phase: str
    samples: list[dict[str, str]]
    total_steps: int
    trainable_parameters: int
    total_parameters: int
    threads: int
    processes: int
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
    forward_pass: dict[str, Any] | None
    notes: list[str]
    reason: str
    sentence: str
    detail: dict[str, Any]
    count: int
    sample: str
