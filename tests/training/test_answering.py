"""What a model says to held-out prompts along its training: the likeliest tokens, the same prompts, nothing random."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.conftest import MakeJob, Trainer
from workers.training import base_model
from workers.training.answering import Asking, Prompt, prompts_of
from workers.training.samples import IGNORED, Sample

METHODS = {"lora": {}, "prompt_tuning": {"length": 4}, "prefix_tuning": {"length": 4}}


def plainly(model: Any, prompt: Prompt, ends: set[int]) -> list[int]:
    """One prompt alone, without padding."""
    said: list[int] = []
    while len(said) < prompt.most and not ends & {*said}:
        ids = torch.tensor([[*prompt.read, *said]])
        with torch.no_grad():
            logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
        said.append(int(logits[0, -1].argmax()))
    return said


@pytest.mark.parametrize("method", METHODS)
def test_answers_come_with_every_evaluation_and_are_the_likeliest_ones(
    complete_text: MakeJob, train: Trainer, method: str
) -> None:
    run = train(complete_text(method=method, options=METHODS[method], eval_every=6))
    assert run.error is None
    told = {event["step"]: event["samples"] for event in run.of("phase") if "samples" in event}
    assert list(told) == [0, 6, 12]
    asked = [[(each["prompt"], each["wanted"]) for each in samples] for samples in told.values()]
    assert asked[0] == asked[1] == asked[2]
    assert asked[0][0][0].startswith("say ")


@pytest.mark.parametrize("asked", [0, 2])
def test_as_many_prompts_are_asked_as_the_config_says(complete_text: MakeJob, train: Trainer, asked: int) -> None:
    run = train(complete_text(method="lora", options=METHODS["lora"], sample_prompts=asked))
    assert {len(event["samples"]) for event in run.of("phase") if "samples" in event} == ({asked} if asked else set())


def test_together_they_say_what_each_says_alone(decoder: Path) -> None:
    tokenizer = base_model.training_tokenizer(decoder)
    model = base_model.load_network(decoder, "causal-lm", (), tokenizer, torch.float32, 1).eval()
    prompts = [Prompt(tokenizer(text).input_ids, [1] * 4) for text in ("say it:", "a", "say the film was:")]
    said = Asking(prompts, tokenizer, torch.device("cpu")).answers(model, lambda: None)
    ends = set(tokenizer.all_special_ids)
    assert [each["said"] for each in said] == [
        tokenizer.decode(plainly(model, each, ends), skip_special_tokens=True) for each in prompts
    ]


def test_a_prompt_is_what_stands_before_the_last_answer_and_fits_the_longest_row() -> None:
    row = Sample([1, 2, 3, 4, 5, 6], [IGNORED, 2, IGNORED, IGNORED, 5, 6])
    (prompt,) = prompts_of([row], 40)
    assert (prompt.read, prompt.wanted) == ([1, 2, 3, 4], [5, 6])
    long = Sample(list(range(30)), [IGNORED] * 28 + [28, 29])
    (cut,) = prompts_of([long], 16)
    assert len(cut.read) + cut.most <= 16
    assert cut.read[-1] == 27
