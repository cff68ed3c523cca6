"""Which rows form which batch, as a pure function of seed and epoch, and how a batch becomes tensors.

Nothing here has a state: a resumed training asks for the same epoch and goes on at its position.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from workers.training.samples import IGNORED, Sample

BATCHES_PER_BUCKET = 50
"""Rows of about this many batches are sorted by length together: little padding, still shuffled."""


@dataclass(frozen=True)
class Batch:
    """Tensors of one forward pass; B rows, S tokens in the longest."""

    inputs: dict[str, torch.Tensor]
    """`input_ids`, `attention_mask` and perhaps `token_type_ids`, each B x S."""
    labels: torch.Tensor
    """Classification: B. Causal LM: B x S, -100 where the loss does not look."""
    rows: int
    length: int
    """Of the longest row, in tokens."""
    supervised: int

    def to(self, device: torch.device) -> Batch:
        inputs = {name: tensor.to(device, non_blocking=True) for name, tensor in self.inputs.items()}
        return Batch(inputs, self.labels.to(device, non_blocking=True), self.rows, self.length, self.supervised)


def training_order(lengths: Sequence[int], batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """Row numbers of every batch of one epoch: shuffled, sorted by length in buckets, and the batches shuffled."""
    chance = random.Random(f"{seed}/{epoch}")  # noqa: S311 - repeatable on purpose, nothing secret
    numbers = list(range(len(lengths)))
    chance.shuffle(numbers)
    bucket = batch_size * BATCHES_PER_BUCKET
    batches: list[list[int]] = []
    for start in range(0, len(numbers), bucket):
        ordered = sorted(numbers[start : start + bucket], key=lambda number: -lengths[number])
        batches += _chunks(ordered, batch_size)
    chance.shuffle(batches)
    return batches


def evaluation_order(lengths: Sequence[int], batch_size: int) -> list[list[int]]:
    """Row numbers of every batch, longest first: what does not fit in memory shows at once."""
    return _chunks(sorted(range(len(lengths)), key=lambda number: -lengths[number]), batch_size)


def collate(samples: list[Sample], pad_token: int, per_token_labels: bool) -> Batch:
    """Pad to the longest row, on the right. Labels and mask come from lengths, never from ids: pad may equal eos."""
    width = max(len(sample.input_ids) for sample in samples)
    inputs = {
        "input_ids": _padded([sample.input_ids for sample in samples], width, pad_token),
        "attention_mask": _padded([[1] * len(sample.input_ids) for sample in samples], width, 0),
    }
    if samples[0].token_types is not None:
        inputs["token_type_ids"] = _padded([sample.token_types or [] for sample in samples], width, 0)
    labels = [sample.labels for sample in samples]
    target = _padded(labels, width, IGNORED) if per_token_labels else torch.tensor(labels).squeeze(1)
    return Batch(inputs, target, len(samples), width, sum(sample.supervised for sample in samples))


def _padded(rows: list[list[int]], width: int, filler: int) -> torch.Tensor:
    return torch.tensor([row + [filler] * (width - len(row)) for row in rows])


def _chunks(numbers: list[int], size: int) -> list[list[int]]:
    return [numbers[start : start + size] for start in range(0, len(numbers), size)]
