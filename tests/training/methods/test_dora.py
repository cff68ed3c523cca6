"""DoRA learns the length of each weight vector beside its direction."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.training.methods.starting import QUERIES, TASKS, started


@pytest.mark.parametrize("architecture", QUERIES)
def test_lengths_start_as_those_of_the_base_and_scale_the_new_direction(
    architecture: str, base_models: dict[str, Path]
) -> None:
    start = started(base_models[architecture], "dora", TASKS[architecture], {"rank": 4, "alpha": 12})
    name = QUERIES[architecture]
    layer = start.layers(name)[1]
    length = layer.lora_magnitude_vector["default"].weight
    base, _ = start.matrices(name)
    torch.testing.assert_close(length, base.square().sum(dim=1).sqrt())
    start.move()
    moved = base + 3 * layer.lora_B["default"].weight @ layer.lora_A["default"].weight
    wanted = length[:, None] * moved / moved.square().sum(dim=1, keepdim=True).sqrt()
    torch.testing.assert_close(start.matrices(name)[1], wanted, rtol=1e-4, atol=1e-4)
