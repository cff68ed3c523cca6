"""The ends of a training that are the user's to mend: a reason of the protocol, one sentence, and numbers."""

from __future__ import annotations

from typing import Any

from workers.training.progress import Progress


class JobFailure(Exception):
    """This job cannot go on and would end the same way if tried again."""

    def __init__(self, reason: str, sentence: str, **detail: Any) -> None:
        super().__init__(sentence)
        self.reason, self.sentence, self.detail = reason, sentence, detail


class RowRefused(JobFailure):
    """The base model's chat template does not take a row; `code` is the dataset check's word for it."""

    def __init__(self, code: str, what: str, words: str = "", row: int | None = None) -> None:
        place = "A row" if row is None else f"Row {row:,}"
        super().__init__("bad_data", f"{place} cannot be trained on: {what}.", code=code, row=row)
        self.code, self.what, self.words = code, what, words


class Stopped(Exception):
    """The supervisor asked for an end; the newest checkpoint is on disk or about to be."""


class PeerLost(Exception):
    """Another process of this training is gone: the cause is there, not here."""


def diverged(progress: Progress, steps: int, rate: float) -> JobFailure:
    """The end of a training whose loss was no number for so many steps in a row."""
    last = f"; the last good loss was {progress.last_loss:.4g}" if progress.last_loss is not None else ""
    return JobFailure(
        "diverged",
        f"The loss or its gradient was no number for {steps} steps in a row, last at step "
        f"{progress.step:,}{last}. Try a third of the learning rate ({rate / 3:.2g} instead of {rate:.2g}), "
        "a longer warm-up, or another number format.",
        step=progress.step,
        steps_not_finite=steps,
        last_finite_loss=progress.last_loss,
        suggested_learning_rate=rate / 3,
    )
