"""Reads the rows of a job as token ids and labels, and says in the log what was cut or left out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workers.methods.hyperparameters import LEAVE_OUT
from workers.protocol import JobSpec, Task
from workers.training.encoding import Encoder, Row, causal_encoder, classification_encoder, seq2seq_encoder
from workers.training.events import Events
from workers.training.failures import JobFailure, RowRefused
from workers.training.samples import Sample


@dataclass(frozen=True)
class Rows:
    """The two parts of a dataset version, encoded."""

    train: list[Sample]
    eval: list[Sample]

    @property
    def trainable_token_share(self) -> float:
        """Of the training rows: how many of their tokens the loss looks at."""
        return sum(sample.supervised for sample in self.train) / sum(len(sample.input_ids) for sample in self.train)


def load(path: Path, spec: JobSpec, tokenizer: Any, decoder_start: int, events: Events) -> Rows:
    """Encode every row. Raises JobFailure where nothing is left to train on."""
    max_length = spec.training["max_length"]
    encode = encoder_for(spec.task, spec.dataset.labels, max_length, tokenizer, decoder_start)
    parts: dict[str, list[Sample]] = {"train": [], "eval": []}
    for number, row in read(path):
        parts[row["split"]].append(encoded(encode, row, number))
    counted = {name: len(part) for name, part in parts.items()}
    if spec.training.get("long_rows") == LEAVE_OUT:
        parts = {name: _short(part, name, max_length, events) for name, part in parts.items()}
    train, evaluation = (_usable(part, name, events) for name, part in parts.items())
    if not train:
        rows = counted["train"]
        raise JobFailure(
            "no_trainable_tokens",
            f"0 trainable tokens in {rows:,} rows: within {max_length:,} tokens no row has anything to learn. "
            "Raise `max_length`, or look at the completions.",
            rows=rows,
        )
    _say_summary(train, spec, events)
    return Rows(train, evaluation)


def encoder_for(task: Task, labels: tuple[str, ...], max_length: int, tokenizer: Any, decoder_start: int) -> Encoder:
    """The encoder for a task, cut to `max_length` tokens; `decoder_start` matters for seq2seq alone."""
    if task == "text-classification":
        return classification_encoder(tokenizer, labels, max_length)
    if task == "seq2seq":
        return seq2seq_encoder(tokenizer, max_length, decoder_start)
    return causal_encoder(tokenizer, max_length)


def read(path: Path) -> Iterator[tuple[int, Row]]:
    """(line number from 1, row) of a canonical file; lines end at a line feed and nowhere else."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            yield number, json.loads(line)


def encoded(encode: Encoder, row: Row, number: int) -> Sample:
    """Raises JobFailure naming the row that this task or base model cannot read."""
    try:
        return encode(row)
    except RowRefused as refused:
        raise RowRefused(refused.code, refused.what, refused.words, number) from refused
    except (KeyError, TypeError, ValueError) as error:
        fields = ", ".join(f"`{name}`" for name in row if name != "split")
        raise JobFailure(
            "bad_data", f"Row {number:,} cannot be read for this task; it has the fields {fields}.", row=number
        ) from error


def _short(samples: list[Sample], part: str, max_length: int, events: Events) -> list[Sample]:
    kept = [sample for sample in samples if not sample.cut]
    if len(kept) < len(samples):
        left = len(samples) - len(kept)
        events.log(f"{left:,} {part} rows were left out: longer than {max_length:,} tokens.", "warning")
    return kept


def _usable(samples: list[Sample], part: str, events: Events) -> list[Sample]:
    kept = [sample for sample in samples if sample.supervised]
    if len(kept) < len(samples):
        events.log(f"{len(samples) - len(kept):,} {part} rows were left out: nothing to learn in them.", "warning")
    cut = sum(1 for sample in kept if sample.cut)
    if cut:
        events.log(f"{cut:,} of {len(kept):,} {part} rows were cut to the longest length.")
    for remark, rows in Counter(sample.remark for sample in kept if sample.remark).items():
        events.log(f"In {rows:,} {part} rows {remark}.")
    return kept


def _say_summary(train: list[Sample], spec: JobSpec, events: Events) -> None:
    if spec.task != "text-classification":
        supervised = sum(sample.supervised for sample in train)
        tokens = sum(sample.tokens for sample in train)
        events.log(f"Supervised tokens: {supervised:,} of {tokens:,} in {len(train):,} rows.")
