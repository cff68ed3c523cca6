"""Memory and time of a job before it starts, as ranges: arithmetic times what finished jobs alike turned out to need.

The exact counts are estimating.py's. With fewer than three jobs alike the range is wide and says that it is rough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from django.db.models import Q

from webapp.accounts.models import Team
from webapp.basemodels.models import BaseModel
from webapp.datasets.models import DatasetVersion
from webapp.jobs.estimating import Estimate
from webapp.jobs.models import Job, JobState, Worker
from workers.methods import METHODS
from workers.methods.hyperparameters import Training
from workers.methods.method import Method
from workers.methods.shape import Shape

ALIKE_NEEDED = 3
LOOKED_AT = 100
MEASURED = ("memory_kind", "peak_memory_bytes", "trainable_parameters", "total_steps", "started_at", "ended_at")
"""What the arithmetic is held against, of so many finished jobs."""
ROUGH = (0.6, 1.6)
"""Factors of the rough range; wide, for nothing measured stands behind it."""
LEAST_WIDTH = 0.03
"""Even three jobs that agree promise no more than three percent either way."""
WIDTH_BYTES = {"fp32": 4, "fp16": 4, "bf16": 2, "auto": 2}
"""Of a frozen weight."""
QUANTIZED_BYTES = {"int8": 1.0, "nf4": 0.55}
ACTIVATIONS_PER_LAYER = 17
"""Numbers of the width of the hidden state that a block keeps for the backward pass, a token."""
RUNTIME_BYTES = {"cuda": 600 * 2**20, "cpu": 450 * 2**20}
BATCHES_TRIED = (256, 128, 64, 32, 16, 8, 6, 4, 3, 2, 1)


@dataclass(frozen=True)
class Range:
    low: float
    high: float


@dataclass(frozen=True)
class Fit:
    """One device and whether the job has room on it."""

    worker: str
    device: str
    memory_bytes: int
    free_bytes: int
    fits: bool
    largest_batch: int | None
    """The most rows in one forward pass that fit; None: not even one."""


@dataclass(frozen=True)
class Costs:
    """Of one job before it starts."""

    memory: Range
    parts: dict[str, int]
    """Arithmetic, in bytes: weights, delta, gradients, optimizer, activations, runtime."""
    alike: int
    """Finished jobs that the range was measured on."""
    seconds: Range | None
    """None: no finished job of this base model and method's family to go by."""
    fits: list[Fit]
    full_memory: Range
    """Of full fine-tuning with the same settings: what the delta saves."""

    @property
    def rough(self) -> bool:
        return self.alike < ALIKE_NEEDED

    @property
    def shares(self) -> list[tuple[str, int, float]]:
        """For a bar: each part with its bytes and percent of all."""
        whole = sum(self.parts.values()) or 1
        return [(name, size, round(100 * size / whole, 1)) for name, size in self.parts.items()]

    @property
    def remedy(self) -> dict[str, Any] | None:
        """Settings that make it fit on the roomiest device, with as many rows a step as before."""
        roomiest = max(self.fits, key=lambda fit: fit.memory_bytes, default=None)
        if roomiest is None or roomiest.fits:
            return None
        return {"batch_size": roomiest.largest_batch} if roomiest.largest_batch else {"gradient_checkpointing": True}

    @property
    def in_brief(self) -> dict[str, Any]:
        """As a job keeps it."""
        seconds = [self.seconds.low, self.seconds.high] if self.seconds else None
        return {"memory": [self.memory.low, self.memory.high], "seconds": seconds, "rough": self.rough}

    def as_json(self) -> dict[str, Any]:
        memory = {"low": round(self.memory.low), "high": round(self.memory.high), "parts": self.parts}
        return {
            "memory_bytes": memory | {"rough": self.rough, "measured_on": self.alike},
            "seconds": {"low": self.seconds.low, "high": self.seconds.high} if self.seconds else None,
            "fits": [vars(fit) for fit in self.fits],
            "full_memory_bytes": {"low": round(self.full_memory.low), "high": round(self.full_memory.high)},
        }


def costs(team: Team | None, method: Method, base_model: BaseModel, version: DatasetVersion, exact: Estimate) -> Costs:
    """For the resolved training that `exact` was made with."""
    devices = _devices(team)
    kind = "cuda" if any(device["kind"] == "cuda" for _, device in devices) else "cpu"
    done, shape = _finished(team, base_model), base_model.read_shape
    parts = parts_of(method, shape, version.task, exact.trainable_parameters, exact.training, kind)
    factors = _factors(done, shape, method, exact.training, kind)
    memory = _ranged(sum(parts.values()), factors)

    def high_with(rows: int) -> float:
        fewer = replace(exact.training, batch_size=rows)
        told = parts_of(method, shape, version.task, exact.trainable_parameters, fewer, kind)
        return _ranged(sum(told.values()), factors).high

    fits = [_fit(name, device, memory.high, high_with) for name, device in devices]
    full_factors = _factors(done, shape, METHODS["full"], exact.training, kind)
    full = _ranged(sum(_full_parts(base_model, version, exact.training, kind).values()), full_factors)
    return Costs(memory, parts, len(factors), _seconds(done, method, exact), fits, full)


def parts_of(method: Method, shape: Shape, task: str, trained: int, training: Training, kind: str) -> dict[str, int]:
    """Arithmetic. Activations: rows times tokens times width times blocks; with checkpointing only the blocks' ends."""
    width = QUANTIZED_BYTES.get(training.quantize, WIDTH_BYTES[training.precision] if kind == "cuda" else 4)
    frozen = shape.parameters - (trained if method.family == "full" else 0)
    tokens = training.batch_size * (training.max_length or 0)
    number = 4 if kind == "cpu" or training.precision == "fp32" else 2
    kept = 1 if training.gradient_checkpointing else ACTIVATIONS_PER_LAYER
    logits = 0 if task == "text-classification" else 2 * 4 * tokens * shape.vocabulary
    return {
        "weights": round(width * max(0, frozen)),
        "delta": 4 * trained,
        "gradients": 4 * trained,
        "optimizer": 8 * trained,
        "activations": number * kept * tokens * shape.hidden * (shape.layers + shape.decoder_layers) + logits,
        "runtime": RUNTIME_BYTES[kind],
    }


def _full_parts(base_model: BaseModel, version: DatasetVersion, training: Training, kind: str) -> dict[str, int]:
    full, shape = METHODS["full"], base_model.read_shape
    trained = full.trainable_parameters(shape, full.options(), version.task, len(version.labels))  # type: ignore[arg-type]
    return parts_of(full, shape, version.task, trained, training, kind)


def _finished(team: Team | None, base_model: BaseModel) -> list[Job]:
    """The team's newest jobs of this base model that measured what they needed."""
    rows = Job.objects.filter(team=team, base_model=base_model, state=JobState.SUCCEEDED, gpus=1)
    return list(
        rows.exclude(peak_memory_bytes=None).only("spec", "method", "task", *MEASURED).order_by("-id")[:LOOKED_AT]
    )


ALIKE = ("batch_size", "max_length", "precision", "quantize", "gradient_checkpointing")


def _is_alike(job: Job, method: Method, training: Training, *names: str) -> bool:
    own = job.spec.get("training", {})
    family = METHODS[job.method].family if job.method in METHODS else ""
    return family == method.family and all(own.get(name) == getattr(training, name) for name in names)


def _factors(done: Sequence[Job], shape: Shape, method: Method, training: Training, kind: str) -> list[float]:
    """Measured over arithmetic, of each finished job alike on the same kind of device."""
    measured_as = "VRAM" if kind == "cuda" else "process memory"
    alike = [job for job in done if job.memory_kind == measured_as and _is_alike(job, method, training, *ALIKE)]
    return [(job.peak_memory_bytes or 0) / _arithmetic(job, shape, kind) for job in alike]


def _arithmetic(job: Job, shape: Shape, kind: str) -> float:
    training: Training = Training.from_json(job.spec["training"])
    trained = job.trainable_parameters or 0
    return float(sum(parts_of(METHODS[job.method], shape, job.task, trained, training, kind).values()))


def _ranged(value: float, factors: Sequence[float]) -> Range:
    if len(factors) < ALIKE_NEEDED:
        return Range(ROUGH[0] * value, ROUGH[1] * value)
    low, high = np.quantile(np.array(factors), [0.1, 0.9]).tolist()
    return Range(value * low * (1 - LEAST_WIDTH), value * high * (1 + LEAST_WIDTH))


def _seconds(done: Sequence[Job], method: Method, exact: Estimate) -> Range | None:
    """Steps times the pace of jobs alike; evaluations and saving are part of what those took."""
    alike = [
        (job.ended_at - job.started_at).total_seconds() / job.total_steps
        for job in done
        if job.started_at and job.ended_at and job.total_steps
        if _is_alike(job, method, exact.training, "batch_size", "max_length", "gradient_accumulation")
    ]
    if not alike:
        return None
    if len(alike) < ALIKE_NEEDED:
        return Range(ROUGH[0] * exact.steps * min(alike), ROUGH[1] * exact.steps * max(alike))
    low, high = np.quantile(np.array(alike), [0.1, 0.9]).tolist()
    return Range(exact.steps * low * (1 - LEAST_WIDTH), exact.steps * high * (1 + LEAST_WIDTH))


def _devices(team: Team | None) -> list[tuple[str, dict[str, Any]]]:
    """Of the online workers that may take the team's jobs; CPU machines count once."""
    able = Worker.objects.online().filter(Q(team=None) | Q(team=team))
    return [(worker.name, device) for worker in able for device in worker.report.get("devices", [])]


def _fit(name: str, device: dict[str, Any], high: float, high_with: Any) -> Fit:
    total, free = int(device["memory_bytes"]), int(device["memory_free_bytes"])
    largest = next((rows for rows in BATCHES_TRIED if high_with(rows) <= total), None)
    return Fit(name, str(device["name"])[:80], total, free, high <= total, largest)
