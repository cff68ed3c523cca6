"""The plain half of a delta method: what a form, the API, the docs and the estimate need. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from workers.methods.options import Options
from workers.methods.shape import Shape
from workers.protocol import Task


class Count(Protocol):
    """Exact trainable parameters of the delta, without the task's head."""

    def __call__(self, shape: Shape, options: Any) -> int: ...


class LearningRate(Protocol):
    """Start value for this task and base model; `steps` is the length of the training in optimizer steps."""

    def __call__(self, shape: Shape, task: Task, steps: int) -> float: ...


class Check(Protocol):
    """Raises OptionsError where the options cannot work on this base model."""

    def __call__(self, shape: Shape, options: Any) -> None: ...


@dataclass(frozen=True)
class Method:
    """One delta method. Its torch half is `workers/training/methods/<name>.py`."""

    name: str
    title: str
    family: str
    """full, addition, specification or reparameterization."""
    summary: str
    """One plain paragraph."""
    paper: str
    formula: str
    options: type[Options]
    tasks: tuple[Task, ...]
    mergeable: bool
    servable: tuple[str, ...]
    """Where the artifact runs as it is: `peft`, `transformers`, `vllm`."""
    count: Count
    learning_rate: LearningRate
    check: Check

    def trainable_parameters(self, shape: Shape, options: Options, task: Task, labels: int) -> int:
        """Exact trainable parameters, with the classification head where the task has one."""
        if task == "text-classification":
            return self.count(shape, options) + shape.head_parameters(labels)
        # A delta leaves the output layer of a language model alone; full fine-tuning trains it with the rest.
        output = shape.untied_output_parameters() if self.family == "full" else 0
        return self.count(shape, options) + output
