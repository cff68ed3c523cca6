"""LayerNorm tuning trains every normalisation layer, the last one included, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn
from transformers.models.llama.modeling_llama import LlamaRMSNorm
from transformers.models.t5.modeling_t5 import T5LayerNorm

from tests.training.methods.starting import started
from workers.protocol import Task


@pytest.mark.parametrize(
    ("architecture", "task", "kind", "tensors"),
    [
        ("bert", "text-classification", nn.LayerNorm, 5 * 2),
        ("gpt2", "causal-lm", nn.LayerNorm, 5 * 2),
        # These norms have no bias.
        ("llama", "causal-lm", LlamaRMSNorm, 5),
        ("t5", "seq2seq", T5LayerNorm, 5 + 7),
    ],
)
def test_exactly_the_norms_train(
    architecture: str, task: Task, kind: type[nn.Module], tensors: int, base_models: dict[str, Path]
) -> None:
    start = started(base_models[architecture], "layer_norm", task, {})
    norms = {
        f"{name}.{own}"
        for name, each in start.plain.named_modules()
        if isinstance(each, kind)
        for own, _ in each.named_parameters()
    }
    assert len(norms) == tensors
    assert {name for name in start.trained_names() if not name.startswith("classifier.")} == norms
