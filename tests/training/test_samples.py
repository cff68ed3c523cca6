"""Which tokens the loss sees: completions and the assistant's turns alone, each with its end, whatever is cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from workers.training import base_model
from workers.training.batching import collate, training_order
from workers.training.encoding import causal_encoder, classification_encoder
from workers.training.failures import JobFailure
from workers.training.losses import summed_loss
from workers.training.samples import IGNORED, Sample

CHAT = [
    {"role": "user", "content": "hi"},
    {"role": "assistant", "content": "yes"},
    {"role": "user", "content": "so"},
    {"role": "assistant", "content": "bye"},
]


@pytest.fixture
def tokenizer(decoder: Path) -> Any:
    return base_model.training_tokenizer(decoder)


def supervised_text(tokenizer: Any, sample: Sample) -> str:
    return str(tokenizer.decode([label for label in sample.labels if label != IGNORED]))


def test_only_what_the_assistant_says_is_learnt_and_each_turn_ends(tokenizer: Any) -> None:
    sample = causal_encoder(tokenizer, 500)({"messages": CHAT})
    assert supervised_text(tokenizer, sample) == "yes<|end|>bye<|end|>"
    assert tokenizer.decode(sample.input_ids) == tokenizer.apply_chat_template(CHAT, tokenize=False)


def test_a_template_without_turn_ends_gets_the_end_token(tokenizer: Any) -> None:
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    )
    sample = causal_encoder(tokenizer, 500)({"messages": CHAT})
    assert supervised_text(tokenizer, sample) == "yes\n<|end|>bye\n<|end|>"


def test_messages_without_a_chat_template_are_refused_with_a_way_out(tokenizer: Any) -> None:
    tokenizer.chat_template = None
    with pytest.raises(JobFailure, match="no chat template") as refused:
        causal_encoder(tokenizer, 500)({"messages": CHAT})
    assert refused.value.reason == "bad_config"


def test_a_prompt_is_read_and_a_completion_learnt_with_its_end(tokenizer: Any) -> None:
    sample = causal_encoder(tokenizer, 500)({"prompt": "say a:", "completion": " a"})
    assert supervised_text(tokenizer, sample) == " a<|end|>"
    assert sample.supervised == 3


def test_a_long_prompt_loses_its_left_and_the_completion_nothing(tokenizer: Any) -> None:
    sample = causal_encoder(tokenizer, 10)({"prompt": "0123456789", "completion": "abc"})
    assert tokenizer.decode(sample.input_ids) == "456789abc<|end|>"
    assert supervised_text(tokenizer, sample) == "abc<|end|>"
    assert sample.cut == 4


def test_plain_text_is_learnt_whole(tokenizer: Any) -> None:
    sample = causal_encoder(tokenizer, 500)({"text": "abc"})
    assert supervised_text(tokenizer, sample) == "abc<|end|>"


def test_the_end_is_learnt_although_it_is_also_the_padding(tokenizer: Any) -> None:
    assert tokenizer.pad_token_id == tokenizer.eos_token_id
    encode = causal_encoder(tokenizer, 500)
    samples = [encode({"prompt": "p", "completion": "a"}), encode({"prompt": "p", "completion": "abc"})]
    batch = collate(samples, tokenizer.pad_token_id, per_token_labels=True)
    assert batch.labels[0].tolist() == [IGNORED, *samples[0].labels[1:], IGNORED, IGNORED]
    assert batch.labels[0, 2] == tokenizer.eos_token_id
    assert batch.inputs["attention_mask"].tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]


def test_a_pair_of_texts_keeps_its_token_types(encoder: Path) -> None:
    encode = classification_encoder(base_model.training_tokenizer(encoder), ("no", "yes"), 64)
    sample = encode({"text": "good film", "text_pair": "bad film", "label": "yes"})
    assert sample.labels == [1]
    assert len(sample.input_ids) == 7


def test_an_unknown_label_is_named(encoder: Path) -> None:
    encode = classification_encoder(base_model.training_tokenizer(encoder), ("no", "yes"), 64)
    with pytest.raises(JobFailure, match="'maybe'"):
        encode({"text": "good", "label": "maybe"})


def test_the_loss_equals_a_plain_reference_over_supervised_tokens() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 5, 7), torch.tensor([[1, 2, 3, 4, 5], [IGNORED, IGNORED, 3, 4, IGNORED]])
    chances = logits.log_softmax(-1)
    wanted = -sum(
        float(chances[row, place, labels[row, place + 1]])
        for row in range(2)
        for place in range(4)
        if labels[row, place + 1] != IGNORED
    )
    assert summed_loss(logits, labels, "causal-lm").item() == pytest.approx(wanted, rel=1e-6)


def test_every_row_comes_once_an_epoch_and_in_another_order_each_time() -> None:
    lengths = [number % 17 for number in range(101)]
    first, again, second = (training_order(lengths, 8, 17, epoch) for epoch in (0, 0, 1))
    assert sorted(row for batch in first for row in batch) == list(range(101))
    assert first == again
    assert first != second
