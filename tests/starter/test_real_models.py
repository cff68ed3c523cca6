"""The main delta methods on real pretrained models: counts, frozen bits, and an artifact that loads by its card.

Four steps each: what is learnt in more of them, benchmarks/methods.py prints.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.starter.conftest import Answered
from tests.training.methods.cells import Cell, trained
from tests.training.methods.loading import LoadByCard
from workers.methods.shape import Shape
from workers.protocol import Task

pytestmark = [pytest.mark.slow, pytest.mark.starter]

MAIN: dict[tuple[str, Task], tuple[str, ...]] = {
    ("minilm", "text-classification"): (
        "full",
        "lora",
        "adalora",
        "bitfit",
        "houlsby",
        "prompt_tuning",
        "ia3",
        "last_k",
        "intrinsic_dimension",
    ),
    ("smollm2", "causal-lm"): ("lora", "qlora", "bitfit", "prefix_tuning"),
    ("flan_t5", "seq2seq"): ("lora", "houlsby", "prompt_tuning"),
}


@pytest.mark.parametrize(
    "cell", [Cell(model, task, method) for (model, task), methods in MAIN.items() for method in methods], ids=str
)
def test_it_trains_what_it_says_and_its_card_loads_it(
    cell: Cell, answered: Answered, load_by_card: LoadByCard, tmp_path: Path
) -> None:
    facts, base_model = answered(cell.architecture)
    run = trained(tmp_path, base_model, cell)
    given = Shape.from_json(facts["shape"]), run.chosen, cell.task, run.labels
    assert run.plan["trainable_parameters"] == run.method.trainable_parameters(*given)
    assert run.plan["total_parameters"] == run.method.total_parameters(*given)
    for name, each in run.model.named_parameters():
        if ".lora_E." not in name:  # AdaLoRA may prune a layer back to the zeros that it started with
            assert torch.equal(each, run.attempt.before[name]) != each.requires_grad, name
    in_other_order = cell.method == "adalora"
    here = run.logits(run.merged()) if in_other_order else run.logits()
    tolerance = 1e-3 if in_other_order else 1e-5
    torch.testing.assert_close(load_by_card(run, tmp_path), here, rtol=tolerance, atol=tolerance)
