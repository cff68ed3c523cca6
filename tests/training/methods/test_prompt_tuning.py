"""Prompt tuning: learnt rows of the embedding table in front of the text, as long as there is room for them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.training import toys
from tests.training.methods.starting import started
from workers.methods.options import OptionsError


def test_it_starts_at_words_of_the_vocabulary_and_stands_before_the_text(decoder: Path) -> None:
    start = started(decoder, "prompt_tuning", "causal-lm", {"length": 5, "start": "vocabulary"})
    prompt, table = start.model.prompt_encoder["default"].embedding.weight, start.plain.get_input_embeddings().weight
    ids = torch.cdist(prompt, table).argmin(dim=1)
    assert torch.equal(prompt, table[ids])
    assert not set(ids.tolist()) & set(start.setting.tokenizer.all_special_ids)
    start.move()
    with torch.no_grad():
        rows = torch.cat([prompt, table[start.inputs["input_ids"][0]]])
        wanted = start.plain(inputs_embeds=rows[None]).logits
    torch.testing.assert_close(start.logits()[1], wanted, rtol=1e-4, atol=1e-4)


def test_the_longest_row_leaves_room_for_the_prompt(decoder: Path, tmp_path: Path) -> None:
    rows = toys.sums(40)
    with pytest.raises(OptionsError) as refused:
        toys.job(tmp_path / "a", decoder, rows, "prompt_tuning", {"length": 20}, max_length=60)
    assert refused.value.field == "max_length"
    assert "44" in refused.value.hint
    with pytest.raises(OptionsError, match="`length` is 100, and of the 64 places"):
        toys.job(tmp_path / "b", decoder, rows, "prompt_tuning", {"length": 100})
    assert toys.job(tmp_path / "c", decoder, rows, "prompt_tuning", {"length": 20}).spec.is_file()
