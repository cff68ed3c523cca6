"""Scores the model on the held-out rows; it decides nothing and saves nothing."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from workers.protocol import Task
from workers.training.answering import Asking
from workers.training.batching import collate, evaluation_order
from workers.training.losses import summed_loss
from workers.training.samples import Sample

SIGN_OF_LIFE_SECONDS = 30.0
MAX_EXPONENT = 700.0
"""Beyond it e**x has no float; a perplexity of 1e304 says enough."""


@dataclass(frozen=True)
class Evaluation:
    """The held-out rows and how to look at them."""

    samples: list[Sample]
    task: Task
    batch_size: int
    pad_token: int
    device: torch.device
    asking: Asking | None = None
    """Prompts for a model that writes text."""

    def look(self, model: Any, alive: Callable[[], None]) -> tuple[dict[str, float], list[dict[str, str]]]:
        """Its score, and what it says to the prompts."""
        metrics = self.score(model, alive)
        return metrics, self.asking.answers(model, alive) if self.asking else []

    def score(self, model: Any, alive: Callable[[], None]) -> dict[str, float]:
        """Metric values by name. `alive` is called now and then; it may raise to give up."""
        model.eval()
        try:
            return self._score(model, alive)
        finally:
            model.train()

    @torch.no_grad()
    def _score(self, model: Any, alive: Callable[[], None]) -> dict[str, float]:
        loss, counted = 0.0, 0
        per_token = self.task != "text-classification"
        predicted = np.zeros(len(self.samples), dtype=np.int64)
        for numbers in evaluation_order([len(sample.input_ids) for sample in self.samples], self.batch_size):
            alive()
            batch = collate([self.samples[number] for number in numbers], self.pad_token, per_token)
            batch = batch.to(self.device)
            logits = model(**batch.inputs).logits
            loss += float(summed_loss(logits, batch.labels, self.task))
            counted += batch.supervised
            if self.task == "text-classification":
                predicted[numbers] = logits.argmax(-1).cpu().numpy()
        return self._metrics(loss / counted, predicted)

    def _metrics(self, loss: float, predicted: np.ndarray[Any, Any]) -> dict[str, float]:
        if self.task != "text-classification":
            return {"eval_loss": loss, "eval_perplexity": math.exp(min(loss, MAX_EXPONENT))}
        wanted = np.array([sample.labels[0] for sample in self.samples])
        return {
            "eval_loss": loss,
            "eval_accuracy": float((wanted == predicted).mean()),
            "eval_f1": macro_f1(wanted, predicted),
            "eval_majority_share": float(np.bincount(wanted).max() / len(wanted)),
            "eval_predicted_classes": float(len(np.unique(predicted))),
        }


def macro_f1(wanted: np.ndarray[Any, Any], predicted: np.ndarray[Any, Any]) -> float:
    """F1 of each class that occurs or is predicted, averaged; a class never met right counts 0."""
    scores = []
    for label in np.union1d(wanted, predicted):
        hits = int(((wanted == label) & (predicted == label)).sum())
        scores.append(2 * hits / int((wanted == label).sum() + (predicted == label).sum()))
    return float(np.mean(scores))


class SignOfLife:
    """Calls `say` at most every half minute: a long evaluation must not look like a hung one."""

    def __init__(self, say: Callable[[], None], seconds: float = SIGN_OF_LIFE_SECONDS) -> None:
        self._say, self._seconds, self._last = say, seconds, time.monotonic()

    def __call__(self) -> None:
        if time.monotonic() - self._last >= self._seconds:
            self._last = time.monotonic()
            self._say()
