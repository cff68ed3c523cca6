"""What a job will come to, said before it is queued: exact parameter counts and the bytes of its artifact.

Memory and time are costs.py's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from webapp.basemodels.models import BaseModel
from webapp.datasets.models import DatasetVersion
from webapp.jobs.models import Job
from workers.methods import METHODS
from workers.methods.hyperparameters import CUT, LEAVE_OUT, Training
from workers.methods.method import Method
from workers.methods.options import OptionsError
from workers.methods.resolving import resolve


@dataclass(frozen=True)
class Estimate:
    """One job before launch."""

    trainable_parameters: int
    total_parameters: int
    artifact_bytes: int
    """Of the stored weights; at most so many where training decides what is kept."""
    at_most: bool
    """Whether the artifact may turn out smaller, as with AdaLoRA, which prunes."""
    steps: int
    evaluations: int
    training: Training
    """With every default resolved."""
    not_mergeable: str
    """Why the delta cannot be merged into this base model, in a sentence; empty where it can."""

    @property
    def trainable_percent(self) -> float:
        return 100 * self.trainable_parameters / self.total_parameters

    @property
    def rows_per_step(self) -> int:
        return self.training.batch_size * self.training.gradient_accumulation

    def as_json(self) -> dict[str, Any]:
        return {
            "trainable_parameters": self.trainable_parameters,
            "total_parameters": self.total_parameters,
            "trainable_percent": self.trainable_percent,
            "artifact_bytes": self.artifact_bytes,
            "artifact_at_most": self.at_most,
            "steps": self.steps,
            "mergeable": not self.not_mergeable,
            "not_mergeable": self.not_mergeable or None,
        }


def estimate(method: Method, base_model: BaseModel, version: DatasetVersion, resolved: dict[str, Any]) -> Estimate:
    """`resolved` is a frozen spec's `options` and `training`. ValueError where the shape is unreadable."""
    shape, task, labels = base_model.read_shape, version.task, len(version.labels)
    options = method.options.from_json(resolved["options"])
    training: Training = Training.from_json(resolved["training"])
    steps = training.steps(version.rows["train"])
    given = shape, options, task, labels
    return Estimate(
        trainable_parameters=method.trainable_parameters(*given),  # type: ignore[arg-type]
        total_parameters=method.total_parameters(*given),  # type: ignore[arg-type]
        artifact_bytes=method.artifact_bytes(*given),  # type: ignore[arg-type]
        at_most=method.exported_at_most,
        steps=steps,
        evaluations=max(1, steps // (training.eval_every or steps)),
        training=training,
        not_mergeable=method.merge_refusal(shape, options),
    )


def start_of(version: DatasetVersion) -> dict[str, Any]:
    """What a training on this version starts with, if a person chose what becomes of its long rows."""
    if (chosen := version.long_rows) is None:
        return {}
    return {"max_length": chosen["max_length"], "long_rows": LEAVE_OUT if chosen["fix"] == "drop_long" else CUT}


def why_not_merged(job: Job) -> str:
    """Why this job's delta cannot be merged into its base model, in a sentence; '' where it can."""
    method = METHODS.get(job.method)
    if method is None:
        return f"The method {job.method} is no longer offered here."
    try:
        return method.merge_refusal(job.base_model.read_shape, method.options.from_json(job.spec["options"]))
    except (OptionsError, ValueError) as error:
        return f"The job's settings cannot be read any more: {str(error).rstrip('.')}."


def resolved_or_none(
    method: Method,
    base_model: BaseModel | None,
    version: DatasetVersion | None,
    options: dict[str, Any],
    training: dict[str, Any],
) -> dict[str, Any] | None:
    """Complete `options` and `training` for what is chosen so far; None while something is missing or cannot work."""
    if base_model is None or version is None:
        return None
    rows = version.rows["train"], version.rows["eval"]
    try:
        shape, start = base_model.read_shape, start_of(version)
        complete = resolve(method, options, training, shape, version.task, *rows, start)  # type: ignore[arg-type]
    except (OptionsError, ValueError):
        return None
    return {"options": complete[0], "training": complete[1]}
