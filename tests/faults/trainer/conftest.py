"""The toys that the trainer's faults happen to."""

from __future__ import annotations

from tests.training.conftest import classify, complete_text, decoder, encoder, train

__all__ = ["classify", "complete_text", "decoder", "encoder", "train"]
