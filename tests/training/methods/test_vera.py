"""VeRA scales random matrices that all layers share and none trains."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.training.methods.starting import QUERIES, TASKS, started


def test_vera_starts_with_d_at_a_tenth_and_b_at_zero(encoder: Path) -> None:
    named = dict(started(encoder, "vera", "text-classification", {"rank": 16}).model.named_parameters())
    d = [each for name, each in named.items() if ".vera_lambda_d." in name]
    b = [each for name, each in named.items() if ".vera_lambda_b." in name]
    assert [each.shape for each in d] == [torch.Size([16])] * 4
    assert all((each == 0.1).all() for each in d)
    assert [each.shape for each in b] == [torch.Size([32])] * 4
    assert not any(each.any() for each in b)


@pytest.mark.parametrize("architecture", QUERIES)
def test_two_vectors_scale_matrices_that_all_layers_share(architecture: str, base_models: dict[str, Path]) -> None:
    start = started(base_models[architecture], "vera", TASKS[architecture], {"rank": 16, "targets": ["q", "down"]})
    start.move()
    shared = start.model.base_model
    a, b = shared.vera_A["default"], shared.vera_B["default"]
    assert not a.requires_grad
    assert not b.requires_grad
    name = QUERIES[architecture]
    layer = start.layers(name)[1]
    assert layer.vera_A["default"] is a
    base, equipped = start.matrices(name)
    outputs, inputs = base.shape
    d, scales = layer.vera_lambda_d["default"], layer.vera_lambda_b["default"]
    delta = torch.diag(scales) @ b[:outputs] @ torch.diag(d) @ a[:, :inputs]
    torch.testing.assert_close(equipped, base + delta, rtol=1e-4, atol=1e-4)
