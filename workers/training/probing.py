"""Rows of random tokens, always the same ones, to ask networks alike."""

from __future__ import annotations

from typing import Any

import torch

from workers.protocol import JobSpec

ROWS, TOKENS = 8, 24


def probes(network: Any, spec: JobSpec) -> dict[str, torch.Tensor]:
    """(ROWS, TOKENS) ids and what a forward pass takes besides."""
    chance = torch.Generator().manual_seed(0)
    ids = torch.randint(0, network.config.vocab_size, (ROWS, TOKENS), generator=chance)
    pad = network.config.pad_token_id
    if pad is not None:  # a classifier looks for the end of a text by its padding
        ids[ids == pad] = (pad + 1) % network.config.vocab_size
    made = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    return made | ({"decoder_input_ids": ids[:, : TOKENS // 2]} if spec.task == "seq2seq" else {})
