"""The ends of a training that are the user's to mend: a reason of the protocol, one sentence, and numbers."""

from __future__ import annotations

from typing import Any


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
