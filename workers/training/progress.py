"""How far a training has come: everything that decides what happens next, besides weights and generators."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from workers.protocol import Task

HIGHER_IS_BETTER = {"eval_accuracy": True, "eval_loss": False}


@dataclass(frozen=True)
class Best:
    """The evaluation whose weights are exported."""

    name: str
    value: float
    step: int
    loss: float
    """`eval_loss` then; decides between equal values."""


@dataclass
class Progress:
    """Position in the training; saved in every checkpoint."""

    step: int = 0
    """Optimizer steps done."""
    epoch: int = 0
    position: int = 0
    """Forward passes done in this epoch: the sampler's position."""
    tokens_seen: int = 0
    last_loss: float | None = None
    evaluated_step: int | None = None
    """An evaluation that was due and interrupted is made up for after a resume."""
    saved_step: int = 0
    first_evaluation: dict[str, float] = field(default_factory=dict)
    """Before the first step: what the base model could do on its own."""
    last_evaluation: dict[str, float] = field(default_factory=dict)
    best: Best | None = None
    worse_evaluations: int = 0
    """In a row."""
    losses_not_finite: int = 0
    """Steps in a row whose loss or gradient was no number."""
    stopped_early: bool = False

    def judge(self, metrics: dict[str, float], task: Task) -> bool:
        """Take note of an evaluation; True if it is the best so far. The one before training is no candidate."""
        self.evaluated_step, self.last_evaluation = self.step, metrics
        if self.step == 0:
            self.first_evaluation = metrics
            return False
        name = "eval_accuracy" if task == "text-classification" else "eval_loss"
        candidate = Best(name, metrics[name], self.step, metrics["eval_loss"])
        if self.best is None or _rank(candidate) > _rank(self.best):
            self.best, self.worse_evaluations = candidate, 0
            return True
        self.worse_evaluations += 1
        return False

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Progress:
        best = Best(**data["best"]) if data["best"] else None
        return cls(**{**data, "best": best})


def _rank(best: Best) -> tuple[float, float]:
    sign = 1 if HIGHER_IS_BETTER[best.name] else -1
    # NaN compares as worse than everything, so a diverged evaluation never becomes the best.
    return (sign * best.value if best.value == best.value else float("-inf"), -best.loss)
