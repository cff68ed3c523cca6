"""AdaLoRA really prunes: the mean rank falls to its target, also after a resume; the artifact holds what is left."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import AdaLoraConfig
from safetensors.torch import load_file

from tests.methods.shapes import minilm
from tests.training import toys
from tests.training.conftest import MakeJob, StopAt, Trainer
from tests.training.methods.cells import WatchedAttempt
from workers.methods import find_method
from workers.methods.adalora import AdaloraOptions, check_training, phases
from workers.methods.hyperparameters import Training
from workers.methods.options import OptionsError
from workers.protocol import JobFolder
from workers.training.failures import Stopped
from workers.training.methods.adalora import values
from workers.training.methods.peft_native import load

OPTIONS: dict[str, Any] = {"initial_rank": 6, "target_rank": 2, "targets": ["q", "v"]}
LAYERS = 4


def kept(trainer: Trainer) -> int:
    assert isinstance(trainer.attempt, WatchedAttempt)
    model = trainer.attempt.loop.moving.model
    return sum(int((each != 0).sum()) for each in values(model).values())


def stored_ranks(job: JobFolder) -> int:
    return sum(
        len(each) for name, each in load_file(job.artifact / "adapter_model.safetensors").items() if "_E" in name
    )


@pytest.mark.parametrize("stop", [None, StopAt(10), StopAt(22)])
def test_the_mean_rank_falls_to_its_target(classify: MakeJob, tmp_path: Path, stop: StopAt | None) -> None:
    given = {"max_steps": 20, "epochs": 20, "learning_rate": 1e-2, "eval_every": 20}
    job, train = classify(method="adalora", options=OPTIONS, **given), Trainer(tmp_path, WatchedAttempt)
    if stop:
        assert isinstance(train(job, stop).error, Stopped)
    assert train(job).error is None
    assert kept(train) == OPTIONS["target_rank"] * LAYERS
    assert stored_ranks(job) == kept(train)


def test_weights_older_than_the_pruning_are_handed_in_whole(classify: MakeJob, tmp_path: Path) -> None:
    # A rate far too high: the best weights are those of an early step, when nothing was pruned yet.
    given = {"max_steps": 20, "epochs": 20, "learning_rate": 1.0, "eval_every": 1, "scheduler": "constant"}
    job, train = classify(method="adalora", options={**OPTIONS, "warm_up": 0.5}, **given), Trainer(tmp_path)
    best = train(job).result["best_metric"]
    assert best["step"] < 10
    assert stored_ranks(job) == OPTIONS["initial_rank"] * LAYERS


def test_loaded_again_it_is_the_kept_triplets_bit_for_bit(classify: MakeJob, tmp_path: Path, encoder: Path) -> None:
    """Only their sums are shorter than those of the training, which adds up zeros for what it pruned."""
    job, train = classify(method="adalora", options=OPTIONS, learning_rate=1e-2), Trainer(tmp_path, WatchedAttempt)
    assert train(job).error is None
    assert isinstance(train.attempt, WatchedAttempt)
    trained: Any = train.attempt.loop.moving.model
    loaded = load(toys.network(encoder, "text-classification", ("no", "yes")), job.artifact)
    ranks = []
    for name in (name.removesuffix(".lora_E.default") for name in values(loaded)):
        here = trained.base_model.model.get_submodule(name)
        there = loaded.base_model.model.get_submodule(name)
        kept = (here.lora_E["default"] != 0).view(-1)
        assert torch.equal(there.lora_E["default"], here.lora_E["default"][kept])
        assert torch.equal(there.lora_A["default"], here.lora_A["default"][kept])
        assert torch.equal(there.lora_B["default"], here.lora_B["default"][:, kept])
        assert torch.equal(there.ranknum["default"], here.ranknum["default"])
        ranks.append(int(kept.sum()))
    assert sum(ranks) < OPTIONS["initial_rank"] * LAYERS


@pytest.mark.parametrize(
    ("options", "training", "field"),
    [
        ({"initial_rank": 6, "target_rank": 6}, {}, "target_rank"),
        ({"initial_rank": 64, "target_rank": 6}, {}, "initial_rank"),
        ({"warm_up": 0.5, "settling": 0.5}, {}, "settling"),
        ({}, {"max_steps": 3}, "max_steps"),
        ({"warm_up": 0.5, "settling": 0.45}, {"max_steps": 6}, "warm_up"),
    ],
)
def test_what_leaves_nothing_to_prune_is_refused(
    encoder: Path, tmp_path: Path, options: dict[str, float], training: dict[str, int], field: str
) -> None:
    with pytest.raises(OptionsError) as refused:
        toys.job(tmp_path / "job", encoder, toys.opinions(40), "adalora", options, **training)
    assert refused.value.field == field
    assert find_method("adalora").mergeable


def test_whatever_is_accepted_suits_peft() -> None:
    """PEFT would refuse a schedule without a step to prune in, but only on the worker."""
    refused = 0
    for warm_up, settling, steps in product((0, 0.1, 0.45, 0.5, 0.7), (0, 0.25, 0.3, 0.45), range(4, 13)):
        options = AdaloraOptions(warm_up=warm_up, settling=settling)
        warming, settled = phases(options, steps)
        try:
            AdaLoraConfig(total_step=steps, tinit=warming, tfinal=settled)
        except ValueError:
            refused += 1
            with pytest.raises(OptionsError, match="none is left to prune in"):
                check_training(minilm(), options, Training(), steps)
        else:
            check_training(minilm(), options, Training(), steps)
    assert refused
