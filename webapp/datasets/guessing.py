"""What a file may be for, judged by its first rows where its columns' names do not say: a guess to be confirmed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from webapp.datasets.chats import is_sharegpt
from webapp.datasets.mapping import PARTS, Mapping

LABELS_AT_MOST, LABEL_CHARACTERS = 20, 40
REPEATED = 2
"""A label stands at least so often on average among the first rows."""
Values = list[Any]


@dataclass
class Column:
    """One column of the first rows."""

    name: str
    values: Values

    @property
    def is_chat(self) -> bool:
        return bool(self.values) and all(_turns(value) for value in self.values)

    @property
    def is_text(self) -> bool:
        return bool(self.values) and all(isinstance(value, str) for value in self.values)

    @property
    def counts(self) -> Counter[str]:
        return Counter(str(value) for value in self.values)

    @property
    def is_label(self) -> bool:
        """A few short values that come again."""
        plain = all(
            isinstance(value, str | int | bool) and len(str(value)) <= LABEL_CHARACTERS for value in self.values
        )
        kinds = len(self.counts)
        return plain and 2 <= kinds <= LABELS_AT_MOST and kinds * REPEATED <= len(self.values)

    @property
    def is_prose(self) -> bool:
        """Text in words, not codes or ids."""
        return self.is_text and sum(" " in value.strip() for value in self.values) * 2 > len(self.values)

    @property
    def length(self) -> float:
        return sum(len(value) for value in self.values) / len(self.values)


def guess(columns: list[str], rows: list[dict[str, Any]]) -> Mapping | None:
    """Task and parts by content, each with its reason; None where nothing tells."""
    looked = [Column(name, [row[name] for row in rows if row.get(name) not in (None, "")]) for name in columns]
    found = next((made for rule in RULES if (made := rule(looked))), None)
    return None if found is None else Mapping(found[0], found[1], found[2])


Guess = tuple[str, dict[str, str], list[str]]


def _chat(columns: list[Column]) -> Guess | None:
    chats = [each for each in columns if each.is_chat]
    if not chats:
        return None
    reason = f"`{chats[0].name}` is read as messages: each of its first values is a list of turns."
    return "causal-lm", {"messages": chats[0].name}, [reason]


def _labelled(columns: list[Column]) -> Guess | None:
    labels = [each for each in columns if each.is_label]
    texts = [each for each in columns if each.is_prose and each not in labels]
    if not labels or not texts:
        return None
    label = next((each for each in labels if each.name.lower() in PARTS["label"]), labels[-1])
    text = max(texts, key=lambda each: each.length)
    reasons = [
        f"`{label.name}` is read as label: {len(label.values)} rows hold {len(label.counts)} different values.",
        f"`{text.name}` is read as text: of the columns in words it is the longest.",
    ]
    return "text-classification", {"text": text.name, "label": label.name}, reasons


def _pair(columns: list[Column]) -> Guess | None:
    texts = [each for each in columns if each.is_prose]
    if len(texts) < 2:
        return None
    first, second = texts[:2]
    reason = f"`{first.name}` is read as prompt and `{second.name}` as completion: they are the first two in words."
    return "causal-lm", {"prompt": first.name, "completion": second.name}, [reason]


def _plain(columns: list[Column]) -> Guess | None:
    texts = [each for each in columns if each.is_prose]
    if not texts:
        return None
    return "causal-lm", {"text": texts[0].name}, [f"`{texts[0].name}` is read as text: it is the only one in words."]


RULES: tuple[Callable[[list[Column]], Guess | None], ...] = (_chat, _labelled, _pair, _plain)


def _turns(value: Any) -> bool:
    if is_sharegpt(value):
        return True
    turns = isinstance(value, list) and bool(value)
    return turns and all(isinstance(turn, dict) and {"role", "content"} <= turn.keys() for turn in value)
