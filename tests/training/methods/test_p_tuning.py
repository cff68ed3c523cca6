"""P-tuning hands in what its network made out of the virtual tokens; the network itself stays behind."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file

from tests.training import toys
from tests.training.methods.starting import started
from workers.training.methods import EQUIPMENT


def test_the_table_is_what_the_network_made_and_stands_before_the_text(decoder: Path, tmp_path: Path) -> None:
    spec = toys.spec(decoder, toys.sums(8), "", "p_tuning", {}, {})
    start = started(decoder, "p_tuning", "causal-lm", {"length": 4, "width": 8})
    start.move()
    EQUIPMENT["p_tuning"].export(start.model, tmp_path, spec)
    stored = load_file(tmp_path / "adapter_model.safetensors")
    assert set(stored) == {"prompt_embeddings"}
    table, encoder = stored["prompt_embeddings"], start.model.prompt_encoder["default"]
    into, between, out = (each for each in encoder.mlp_head if hasattr(each, "weight"))
    with torch.no_grad():
        hidden = (encoder.embedding.weight @ into.weight.T + into.bias).clamp(min=0)
        hidden = (hidden @ between.weight.T + between.bias).clamp(min=0)
        torch.testing.assert_close(table, hidden @ out.weight.T + out.bias, rtol=1e-5, atol=1e-4)
        words = start.plain.get_input_embeddings()(start.inputs["input_ids"])
        wanted = start.plain(inputs_embeds=torch.cat([table[None], words], dim=1)).logits
    torch.testing.assert_close(start.logits()[1], wanted, rtol=1e-4, atol=1e-4)
