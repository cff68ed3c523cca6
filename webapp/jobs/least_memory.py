"""The memory below which a job cannot run at all: no device with less of it free is offered the job.

Never more than is truly needed: a job that could run must not be kept waiting.
"""

from __future__ import annotations

from typing import Any

from webapp.accounts.models import Team
from webapp.basemodels.models import BaseModel
from webapp.datasets.models import DatasetVersion
from webapp.jobs.models import Job, JobState, MetricChunk
from workers.methods import METHODS
from workers.protocol import JobSpec

MEASURE = "allocated_memory_peak_bytes"
"""What tensors took at most; unlike the device's own figure it holds no caches and no other process."""
FLOAT32_ERROR = 1e-6
"""Series are stored as float32: what was read may be larger than what was measured by so much of it."""
LOOKED_AT = 50
WEIGHT_BYTES = {"fp32": 4.0, "fp16": 4.0, "bf16": 2.0, "auto": 2.0}
"""Of a frozen weight; auto may become bf16, and fp16 keeps the weights themselves in fp32."""
QUANTIZED_BYTES = {"int8": 1.0, "nf4": 0.5}
SIZES = ("batch_size", "max_length", "precision", "quantize", "gradient_checkpointing")
"""Training settings that the memory of a step depends on."""


def least_memory_bytes(team: Team, base_model: BaseModel, version: DatasetVersion, spec: JobSpec) -> int:
    """What a finished job of the team with the same sizes measured on a GPU, else what arithmetic says at least."""
    return _measured(team, base_model, version, spec) or by_arithmetic(base_model, version, spec)


def _measured(team: Team, base_model: BaseModel, version: DatasetVersion, spec: JobSpec) -> int | None:
    """The smallest such peak; only of the same dataset version, for shorter rows take less memory."""
    done = Job.objects.filter(
        state=JobState.SUCCEEDED,
        team=team,
        base_model=base_model,
        dataset_version=version,
        method=spec.method,
        gpus=spec.gpus,
        memory_kind="VRAM",
    )
    alike = [
        pk
        for pk, options, training in done.order_by("-id").values_list("pk", "spec__options", "spec__training")[
            :LOOKED_AT
        ]
        if options == spec.options and _sizes(training) == _sizes(spec.training)
    ]
    peaks = [peak for peak in (_peak(pk) for pk in alike[:3]) if peak]
    return min(peaks, default=None)


def _sizes(training: dict[str, Any]) -> list[Any]:
    return [training.get(name) for name in SIZES]


def _peak(job_id: int) -> int | None:
    """The peak rises only, so the last chunk holds it."""
    chunk = MetricChunk.objects.filter(job_id=job_id).order_by("-last_event").first()
    series = chunk.columns.series.get(MEASURE) if chunk else None
    if series is None or not len(series.values):
        return None
    return int(float(series.values.max()) * (1 - FLOAT32_ERROR))


def by_arithmetic(base_model: BaseModel, version: DatasetVersion, spec: JobSpec) -> int:
    """Weights in their training format + for each trained parameter a gradient and AdamW's two moments.

    Leaves out activations, logits, the CUDA context, fragmentation, the data, the task's head, and the copies that
    evaluation and saving make: it is a bound from below, not an estimate.
    """
    method, shape = METHODS[spec.method], base_model.read_shape
    options = method.options.from_json(spec.options)
    trained = method.trainable_parameters(shape, options, spec.task, len(version.labels))
    if method.family == "full":
        return 4 * shape.parameters + 12 * trained
    width = WEIGHT_BYTES[spec.training["precision"]]
    frozen = QUANTIZED_BYTES.get(spec.training["quantize"], width)
    return int(frozen * shape.parameters) + int(3 * width * trained)
