"""The loss of a batch, as a sum, so that a step over several batches weighs every label alike."""

from __future__ import annotations

import torch
from torch.nn import functional

from workers.protocol import Task
from workers.training.samples import IGNORED


def summed_loss(logits: torch.Tensor, labels: torch.Tensor, task: Task) -> torch.Tensor:
    """Cross entropy summed over the supervised labels.

    Classification: logits B x C, labels B. Causal LM: logits B x S x V, labels B x S; position i predicts label i + 1.
    Seq2seq: logits B x T x V, labels B x T; position i predicts label i.
    """
    if task == "text-classification":
        return functional.cross_entropy(logits.float(), labels, reduction="sum")
    following = labels if task == "seq2seq" else functional.pad(labels[:, 1:], (0, 1), value=IGNORED)
    # Virtual tokens in front of the text have logits too, and nothing to predict.
    logits = logits[:, -following.shape[1] :]
    # Only the positions that count: log-softmax over the whole vocabulary is the dearest part of small decoders.
    counted = following != IGNORED
    return functional.cross_entropy(logits[counted].float(), following[counted], reduction="sum")
