"""Where virtual tokens start: the words of a text or of the vocabulary, repeated or cut to length."""

from __future__ import annotations

import random
from typing import Any

from workers.training.methods.equipping import Care, Setting

REQUEST = "Read the text and answer as the examples do:"


def text_ids(setting: Setting, text: str, length: int) -> list[int]:
    """`length` token ids of a text without special tokens; without a text, of the labels or of a general request."""
    text = text or " ".join(setting.labels) or REQUEST
    ids = setting.tokenizer(text, add_special_tokens=False)["input_ids"] or vocabulary_ids(setting, length)
    return (ids * -(-length // len(ids)))[:length]


def vocabulary_ids(setting: Setting, length: int) -> list[int]:
    """Ordinary tokens, drawn by the job's seed."""
    special = set(setting.tokenizer.all_special_ids)
    ordinary = [number for number in sorted(setting.tokenizer.get_vocab().values()) if number not in special]
    chance = random.Random(setting.seed)  # noqa: S311 - repeatable on purpose, nothing secret
    return [chance.choice(ordinary) for _ in range(length)]


def prompt_care(name: str, options: Any) -> Care:
    """Virtual tokens are no weights: they do not decay towards zero."""
    return Care(decays=".embedding." not in name)
