"""OFT turns the inputs of a layer, block by block."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from tests.training.conftest import MakeJob, Trainer
from tests.training.methods.starting import QUERIES, started
from workers.training.methods.peft_native import load, merge


def test_a_trained_oft_rotates_and_stretches_nothing(classify: MakeJob, train: Trainer, encoder: Path) -> None:
    given: dict[str, Any] = {"max_steps": 3, "learning_rate": 0.1, "warmup": 0.0, "scheduler": "constant"}
    job = classify(method="oft", options={"block_size": 8}, **given)
    assert train(job).error is None
    start = started(encoder, "head", "text-classification", {})
    merged = merge(load(start.model, job.artifact)).get_submodule(QUERIES["bert"]).weight
    base = start.plain.get_submodule(QUERIES["bert"]).weight
    # W·R with R = W⁻¹·(W·R), since the base's W is square and of full rank.
    rotation = torch.linalg.solve(base.double(), merged.double())
    eye = torch.eye(32, dtype=torch.float64)
    assert float((rotation - eye).abs().max()) > 0.1
    torch.testing.assert_close(rotation @ rotation.T, eye, rtol=0, atol=1e-4)
    outside = torch.kron(torch.eye(4), torch.ones(8, 8)) == 0
    assert float(rotation[outside].abs().max()) < 1e-4
