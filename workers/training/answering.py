"""What the network says to a few held-out prompts: a text shows what a training changes where a loss does not.

Each answer is made token by token from whole forward passes, the likeliest token always. Stock `generate` would be
faster, but leaves out the virtual tokens of some methods; and nothing random is drawn, so a training stays exact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from workers.training.samples import IGNORED, Sample

PROMPT_TOKENS = 64
"""Of a longer prompt only the end is read: the answer continues it."""
ANSWER_TOKENS = 24
BEYOND = 8
"""Tokens by which an answer may be longer than the wanted one."""


@dataclass(frozen=True)
class Prompt:
    """What is read, what the held-out row answers, and the token that a decoder beside an encoder starts with."""

    read: list[int]
    wanted: list[int]
    start: int | None = None

    @property
    def most(self) -> int:
        """Tokens that are asked for."""
        return min(ANSWER_TOKENS, len(self.wanted) + BEYOND)


def prompts_of(rows: Sequence[Sample], max_length: int) -> list[Prompt]:
    """Prompt and answer together fit `max_length`, as the rows do."""
    return [_prompt(row, max_length) for row in rows]


def _prompt(row: Sample, max_length: int) -> Prompt:
    if row.decoder_ids is not None:
        return Prompt(row.input_ids, row.labels[: max_length - BEYOND], row.decoder_ids[0])
    begins = _answer_begins(row.labels)
    wanted = [label for label in row.labels[begins:] if label != IGNORED][: max(1, max_length // 2 - BEYOND)]
    room = min(PROMPT_TOKENS, max_length - min(ANSWER_TOKENS, len(wanted) + BEYOND))
    return Prompt(row.input_ids[:begins][-room:], wanted)


def _answer_begins(labels: list[int]) -> int:
    """Where the last supervised stretch begins; of a text that is learnt whole, its middle."""
    place = len(labels)
    while place and labels[place - 1] == IGNORED:
        place -= 1
    while place and labels[place - 1] != IGNORED:
        place -= 1
    return place or max(1, len(labels) // 2)


@dataclass(frozen=True)
class Asking:
    """The prompts of one training, always the same ones."""

    prompts: list[Prompt]
    tokenizer: Any
    device: torch.device

    @torch.no_grad()
    def answers(self, model: Any, alive: Callable[[], None]) -> list[dict[str, str]]:
        """For each prompt its text, what the row answers and what the model says. `alive` is called at every token."""
        if not self.prompts:
            return []
        model.eval()
        try:
            said = self._said(model, alive)
        finally:
            model.train()
        return [
            {"prompt": self._text(each.read), "wanted": self._text(each.wanted), "said": self._text(tokens)}
            for each, tokens in zip(self.prompts, said, strict=True)
        ]

    def _said(self, model: Any, alive: Callable[[], None]) -> list[list[int]]:
        ends = set(self.tokenizer.all_special_ids)
        said: list[list[int]] = [[] for _ in self.prompts]
        for _ in range(max(each.most for each in self.prompts)):
            open_ones = [i for i, each in enumerate(self.prompts) if len(said[i]) < each.most and not ends & {*said[i]}]
            if not open_ones:
                break
            alive()
            for i, token in zip(open_ones, self._next(model, said, open_ones), strict=True):
                said[i].append(token)
        return said

    def _next(self, model: Any, said: list[list[int]], open_ones: list[int]) -> list[int]:
        """The likeliest next token of each; padding stands on the right, so places count from the end."""
        asked = [self.prompts[i] for i in open_ones]
        if asked[0].start is None:
            grown = [[*each.read, *said[i]] for i, each in zip(open_ones, asked, strict=True)]
            inputs = self._padded(grown)
        else:
            grown = [[each.start or 0, *said[i]] for i, each in zip(open_ones, asked, strict=True)]
            inputs = self._padded([each.read for each in asked])
            inputs["decoder_input_ids"] = self._padded(grown)["input_ids"]
        logits = model(**inputs).logits
        width = max(map(len, grown))
        return [int(logits[row, len(ids) - 1 - width].argmax()) for row, ids in enumerate(grown)]

    def _padded(self, rows: list[list[int]]) -> dict[str, torch.Tensor]:
        width, pad = max(map(len, rows)), self.tokenizer.pad_token_id
        ids = [row + [pad] * (width - len(row)) for row in rows]
        mask = [[1] * len(row) + [0] * (width - len(row)) for row in rows]
        return {
            "input_ids": torch.tensor(ids, device=self.device),
            "attention_mask": torch.tensor(mask, device=self.device),
        }

    def _text(self, ids: list[int]) -> str:
        return str(self.tokenizer.decode(ids, skip_special_tokens=True))
