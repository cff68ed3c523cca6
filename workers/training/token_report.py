"""What a dataset version is for one tokenizer: lengths, what is cut, and rows as the network would read them.

The encoder is the one that trains (`data.encoder_for`), so what is shown here is what a training does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workers.protocol import Task
from workers.training import base_model, data
from workers.training.base_model_folder import InspectionProblem
from workers.training.encoding import Encoder, Row
from workers.training.failures import JobFailure, RowRefused
from workers.training.samples import Sample
from workers.training.showing import in_short, tokens_of

ROWS_READ = 50_000
"""Of a larger file, rows at even distances."""
ROWS_SHOWN = 4
NAMED_AT_MOST = 20
"""Rows of one kind that are named: refused, too long, without anything to learn."""
LENGTHS_KEPT = 4_000
"""Different lengths that are told exactly; longer ones count as the longest."""


def report(folder: Path, rows: Path, question: dict[str, Any]) -> dict[str, Any]:
    """Answer to `{"task", "labels", "max_length", "rows"}`; `one_in`: the file holds one of so many rows already.

    Raises InspectionProblem.
    """
    task: Task = question["task"]
    max_length, step = int(question["max_length"]), max(1, -(-int(question["rows"]) // ROWS_READ))
    one_in = int(question.get("one_in", 1))
    try:
        tokenizer = base_model.training_tokenizer(folder)
        start = base_model.decoder_start(folder)
        encode = data.encoder_for(task, tuple(question["labels"]), max_length, tokenizer, start)
        counts = Counts(lambda sample: in_short(sample, tokenizer))
        shown: list[dict[str, Any]] = []
        for place, row in data.read(rows):
            if (place - 1) % step:
                continue
            number = 1 + (place - 1) * one_in
            sample = counts.read(encode, row, number)
            if sample is not None and len(shown) < ROWS_SHOWN:
                shown.append({"number": number, **tokens_of(sample, tokenizer)})
    except JobFailure as error:
        hint = "Choose another base model, or mend the dataset."
        raise InspectionProblem("tokens.rows", error.sentence, hint) from error
    return {"max_length": max_length, "distance": step * one_in, **counts.as_json(), "shown": shown}


@dataclass
class Refusal:
    """Rows that the chat template refuses for one reason."""

    code: str
    words: str
    """The template's own, of the first of them."""
    rows: int = 0
    first: list[dict[str, Any]] = field(default_factory=list)


class Counts:
    """Sums over the rows that were read, and the first rows of each kind that a person should know."""

    def __init__(self, shorten: Callable[[Sample], str]) -> None:
        self.rows = self.tokens = self.supervised = self.cut_rows = self.cut_tokens = self.nothing_to_learn = 0
        self.lengths: Counter[int] = Counter()
        self.remarks: Counter[str] = Counter()
        self.refused: dict[str, Refusal] = {}
        self.long: list[dict[str, Any]] = []
        self.nothing: list[dict[str, Any]] = []
        self._shorten = shorten

    def read(self, encode: Encoder, row: Row, number: int) -> Sample | None:
        """One row into the sums; None where the chat template refuses it, which would end a training."""
        place = {"number": number, "line": row.get("line")}
        try:
            sample = data.encoded(encode, row, number)
        except RowRefused as error:
            refusal = self.refused.setdefault(error.code, Refusal(error.code, error.words))
            refusal.rows += 1
            if len(refusal.first) < NAMED_AT_MOST:
                refusal.first.append(place)
            return None
        self._add(sample, place)
        return sample

    def _add(self, sample: Sample, place: dict[str, Any]) -> None:
        self.rows += 1
        self.tokens += sample.tokens + sample.cut
        self.supervised += sample.supervised
        self.cut_rows += bool(sample.cut)
        self.cut_tokens += sample.cut
        self.nothing_to_learn += not sample.supervised
        self.lengths[sample.length] += 1
        if sample.remark:
            self.remarks[sample.remark] += 1
        if sample.cut and len(self.long) < NAMED_AT_MOST:
            self.long.append({**place, "length": sample.length, "cut": sample.cut, "kept": self._shorten(sample)})
        if not sample.supervised and len(self.nothing) < NAMED_AT_MOST:
            self.nothing.append(place)

    def as_json(self) -> dict[str, Any]:
        told = {name: value for name, value in vars(self).items() if isinstance(value, int)}
        known = sorted(self.lengths.items())
        kept, rest = known[: LENGTHS_KEPT - 1], known[LENGTHS_KEPT - 1 :]
        if rest:
            kept.append((rest[-1][0], sum(count for _, count in rest)))
        return {
            **told,
            "lengths": [list(pair) for pair in kept],
            "remarks": dict(self.remarks),
            "refused": [vars(refusal) for refusal in self.refused.values()],
            "long": self.long,
            "nothing": self.nothing,
        }
