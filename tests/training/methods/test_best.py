"""Whatever the method: where the training spoils what it had, the best step's weights come back and are handed in.

The rows to train on contradict those that are held out, so every further step is worse than the first.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training import toys
from tests.training.methods.cells import VARIANTS, Cell, Trained, trained_in
from tests.training.methods.loading import LoadByCard
from workers.methods import METHODS
from workers.protocol import Task
from workers.training.completing import verified

pytestmark = pytest.mark.slow

STEPS, RATE = 4, 5e-3
DECODER_ONLY = "prefix_tuning"


def contradicting(task: Task) -> list[dict[str, Any]]:
    """Everything to train on is called good and everything held out bad, or it goes on with other letters."""
    if task == "text-classification":
        return [{**row, "label": "no" if row["split"] == "eval" else "yes"} for row in toys.opinions(32)]
    return [{**row, "completion": "the" if row["split"] == "eval" else "zq" * 8} for row in toys.sums(32)]


def cells() -> list[Cell]:
    """Each method with each of its kinds, where it classifies with a BERT, else where it writes with a Llama."""
    return [
        Cell(*("llama", "causal-lm") if method == DECODER_ONLY else ("bert", "text-classification"), method, options)
        for method in METHODS
        for options in map(json.dumps, VARIANTS.get(method, ({},)))
    ]


def spoiled(folder: Path, base_model: Path, cell: Cell) -> Trained:
    given = {"max_steps": STEPS, "epochs": 20, "batch_size": 8, "learning_rate": RATE, "eval_every": 1}
    still = {"warmup": 0.0, "scheduler": "constant"}
    options = json.loads(cell.options)
    job = toys.job(folder / "job", base_model, contradicting(cell.task), cell.method, options, **given, **still)
    return trained_in(folder, job, cell)


@pytest.mark.parametrize("cell", cells(), ids=str)
def test_the_best_step_is_scored_again_and_handed_in(
    cell: Cell, base_models: dict[str, Path], tmp_path: Path, load_by_card: LoadByCard
) -> None:
    done = spoiled(tmp_path, base_models[cell.base], cell)
    best, final = done.run.result["best_metric"], done.run.result["final_metrics"]
    scored = {event["step"]: event["values"] for event in done.run.of("metrics") if "eval_loss" in event["values"]}
    assert best["step"] == 1
    assert final == scored[1]
    assert final["eval_loss"] < scored[STEPS]["eval_loss"]
    assert final[best["name"]] == best["value"]
    manifest = verified(done.job.artifact)
    assert manifest is not None
    assert manifest["step"] == 1
    torch.testing.assert_close(load_by_card(done, tmp_path), done.logits(), rtol=1e-4, atol=1e-4)
