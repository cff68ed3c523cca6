"""The plain half of a delta method: what a form, the API, the docs and the estimate need. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from workers.methods.hyperparameters import Training
from workers.methods.options import Options
from workers.methods.shape import Shape
from workers.protocol import Task

BYTES_PER_PARAMETER = 4
"""Trained parameters are kept and stored in fp32, whatever the base model is kept in."""


CAUSAL_ONLY = "In vLLM only after a causal-lm job, and only on architectures that vLLM knows."
"""Of methods that vLLM serves."""


class Count(Protocol):
    """An exact number of parameters of the delta, without the task's head."""

    def __call__(self, shape: Shape, options: Any) -> int: ...


class LearningRate(Protocol):
    """Start value for this task and base model; `steps` is the length of the training in optimizer steps."""

    def __call__(self, shape: Shape, task: Task, steps: int, options: Any) -> float: ...


class TrainsOutput(Protocol):
    """Whether a language model's output layer trains, where it is not the table of embeddings."""

    def __call__(self, options: Any) -> bool: ...


class Check(Protocol):
    """Raises OptionsError where the options cannot work on this base model."""

    def __call__(self, shape: Shape, options: Any) -> None: ...


class CheckTraining(Protocol):
    """Raises OptionsError where the method cannot be trained in this way; called with everything resolved."""

    def __call__(self, shape: Shape, options: Any, training: Training, steps: int) -> None: ...


class WhyNot(Protocol):
    """A sentence why this method, whatever its options, cannot work on this base model for this task, or ''."""

    def __call__(self, shape: Shape, task: Task) -> str: ...


class WhyNotMerged(Protocol):
    """A sentence why this delta cannot be merged into this base model, or ''."""

    def __call__(self, shape: Shape, options: Any) -> str: ...


@dataclass(frozen=True)
class Method:
    """One delta method. Its torch half is `workers/training/methods/<name>.py`."""

    name: str
    title: str
    family: str
    """full, addition, specification or reparameterization."""
    summary: str
    """One plain paragraph."""
    choose_when: str
    """One sentence: what speaks for it."""
    inference_cost: str
    """One sentence: what it costs when the model answers."""
    paper: str
    formula: str
    options: type[Options]
    tasks: tuple[Task, ...]
    servable: tuple[str, ...]
    """Where the artifact runs as it is: `peft`, `transformers`, `vllm`."""
    count: Count
    learning_rate: LearningRate
    check: Check
    not_mergeable: str = ""
    """A sentence why its deltas cannot be merged into a base model; empty where they can."""
    trains_output: TrainsOutput = lambda options: False
    added: Count | None = None
    """Parameters that the base model does not have; None: all that are counted."""
    exported: Count | None = None
    """Parameters in the artifact; None: those that are trained."""
    exported_at_most: bool = False
    """Whether the artifact may turn out smaller, since training decides what is kept."""
    positions: Count | None = None
    """Places of the base model's context that the delta takes for itself; None: none."""
    quantize: str = "none"
    """What the frozen base is kept in while this method trains; `quantize` of the training."""
    serving: str = ""
    """Where `servable` does not hold for everything that the method can do: a sentence that says for what it does."""
    elsewhere: str = ""
    """Why it is not offered for the tasks that are not in `tasks`, in a sentence, where there is more to say."""
    shortfall: str = ""
    """By how much its defaults miss nine tenths of full fine-tuning's gain in `benchmarks/methods.py`, and why."""
    why_not: WhyNot | None = None
    why_not_merged: WhyNotMerged | None = None
    check_training: CheckTraining | None = None

    @property
    def library(self) -> str:
        """A package that a worker must have besides the usual ones, and not every worker has; '' for none."""
        return "" if self.quantize == "none" else "bitsandbytes"

    @property
    def mergeable(self) -> bool:
        return not self.not_mergeable

    def merge_refusal(self, shape: Shape, options: Options) -> str:
        """Why this delta cannot be merged into this base model, in a sentence; '' where it can."""
        return self.not_mergeable or (self.why_not_merged(shape, options) if self.why_not_merged else "")

    def refusal(self, shape: Shape, task: Task) -> str:
        """Why this method is not offered for this task and base model, in a sentence; '' where it is."""
        if task not in self.tasks:
            offered = f"{self.title} is not offered for {task}; it is for {' and '.join(self.tasks)}."
            return f"{offered} {self.elsewhere}".strip()
        return self.why_not(shape, task) if self.why_not else ""

    def positions_taken(self, shape: Shape, options: Options) -> int:
        return self.positions(shape, options) if self.positions else 0

    def trainable_parameters(self, shape: Shape, options: Options, task: Task, labels: int) -> int:
        """Exact trainable parameters, with the classification head where the task has one."""
        return self.count(shape, options) + self._beside(shape, options, task, labels)

    def total_parameters(self, shape: Shape, options: Options, task: Task, labels: int) -> int:
        """Everything that answers: the base model, the task's head, and what the delta adds. Tied weights once."""
        added = self.added or self.count
        head = shape.head_parameters(labels) if task == "text-classification" else shape.untied_output_parameters()
        return shape.parameters + head + (0 if self.family == "full" else added(shape, options))

    def artifact_bytes(self, shape: Shape, options: Options, task: Task, labels: int) -> int:
        """Of the stored weights; card and tokenizer come on top, megabytes where the vocabulary is large."""
        exported = self.exported or self.count
        return BYTES_PER_PARAMETER * (exported(shape, options) + self._beside(shape, options, task, labels))

    def _beside(self, shape: Shape, options: Options, task: Task, labels: int) -> int:
        """What trains beside the delta: a new classification head, or a language model's output layer."""
        if task == "text-classification":
            return shape.head_parameters(labels)
        # Most deltas leave that layer alone.
        return shape.untied_output_parameters() if self.trains_output(options) else 0
