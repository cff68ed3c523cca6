"""What a dataset version is for one tokenizer: lengths, what is cut, and rows as the network would read them.

The encoder is the one that trains (`data.encoder_for`), so what is shown here is what a training does.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from workers.protocol import Task
from workers.training import base_model, data
from workers.training.base_model_folder import InspectionProblem
from workers.training.failures import JobFailure
from workers.training.samples import Sample
from workers.training.showing import tokens_of

ROWS_READ = 50_000
"""Of a larger file, rows at even distances."""
ROWS_SHOWN = 4
LENGTHS_KEPT = 4_000
"""Different lengths that are told exactly; longer ones count as the longest."""


def report(folder: Path, rows: Path, question: dict[str, Any]) -> dict[str, Any]:
    """Answer to `{"task", "labels", "max_length", "rows"}`. Raises InspectionProblem."""
    task: Task = question["task"]
    max_length, distance = int(question["max_length"]), max(1, -(-int(question["rows"]) // ROWS_READ))
    try:
        tokenizer = base_model.training_tokenizer(folder)
        start = base_model.decoder_start(folder)
        encode = data.encoder_for(task, tuple(question["labels"]), max_length, tokenizer, start)
        counts = Counts()
        shown: list[dict[str, Any]] = []
        for number, row in data.read(rows):
            if (number - 1) % distance:
                continue
            sample = data.encoded(encode, row, number)
            counts.add(sample)
            if len(shown) < ROWS_SHOWN:
                shown.append({"number": number, **tokens_of(sample, tokenizer)})
    except JobFailure as error:
        raise InspectionProblem("tokens.rows", str(error), "Choose another base model, or mend the dataset.") from error
    return {"max_length": max_length, "distance": distance, **counts.as_json(), "shown": shown}


class Counts:
    """Sums over the rows that were read."""

    def __init__(self) -> None:
        self.rows = self.tokens = self.supervised = self.cut_rows = self.cut_tokens = self.nothing_to_learn = 0
        self.lengths: Counter[int] = Counter()
        self.remarks: Counter[str] = Counter()

    def add(self, sample: Sample) -> None:
        self.rows += 1
        self.tokens += sample.tokens + sample.cut
        self.supervised += sample.supervised
        self.cut_rows += bool(sample.cut)
        self.cut_tokens += sample.cut
        self.nothing_to_learn += not sample.supervised
        self.lengths[sample.length] += 1
        if sample.remark:
            self.remarks[sample.remark] += 1

    def as_json(self) -> dict[str, Any]:
        told = {name: value for name, value in vars(self).items() if isinstance(value, int)}
        known = sorted(self.lengths.items())
        kept, rest = known[: LENGTHS_KEPT - 1], known[LENGTHS_KEPT - 1 :]
        if rest:
            kept.append((rest[-1][0], sum(count for _, count in rest)))
        return {**told, "lengths": [list(pair) for pair in kept], "remarks": dict(self.remarks)}
