"""The log of a training, line by line."""

from __future__ import annotations

import pytest

from tests.training.conftest import MakeJob, Trainer
from workers.training.progress import Progress
from workers.training.telling import evaluation, exported, start


@pytest.mark.slow
def test_a_training_tells_its_size_its_evaluations_and_what_it_exported(classify: MakeJob, train: Trainer) -> None:
    run = train(classify(max_steps=4, eval_every=2))
    said = [each["text"] for each in run.of("log")]
    plan, metrics = run.of("plan")[0], [each for each in run.of("metrics") if "eval_loss" in each["values"]]
    assert any(f"Training {plan['trainable_parameters']:,} of {plan['total_parameters']:,}" in line for line in said)
    assert sum(line.startswith("Step ") for line in said) == len(metrics)
    assert said[-1].startswith("Exported the delta of step ")


def test_each_line_in_words() -> None:
    assert start(664_322, 23_377_538, 530, 16, "cpu") == (
        "Training 664,322 of 23,377,538 parameters (2.8 %) for 530 steps of 16 rows on cpu."
    )
    progress = Progress()
    progress.judge({"eval_loss": 0.693147, "eval_accuracy": 0.489, "eval_f1": 0.33}, "text-classification")
    assert evaluation(progress) == "Step 0: eval loss 0.6931, accuracy 48.9 %, F1 33.0 % before training."
    progress.step = 1067
    progress.judge({"eval_loss": 2.5, "eval_perplexity": 12.2}, "causal-lm")
    assert evaluation(progress) == "Step 1,067: eval loss 2.5, the best so far."
    assert exported(469, 2_668_000) == "Exported the delta of step 469: 2.54 MiB."
