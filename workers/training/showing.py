"""What a person should see before hours go by: what is trained where, and the first rows with their loss mask."""

from __future__ import annotations

import re
from collections import Counter
from itertools import groupby
from typing import Any

from workers.training.families import role_of
from workers.training.samples import IGNORED, Sample

ROWS_SHOWN = 2
TOKENS_SHOWN = 400
CHARACTERS_SHOWN = 2_400
"""Of one row: with two of them the plan stays far below the largest event."""
ENDS_SHOWN, CHARACTERS_OF_AN_END = 16, 80
"""Tokens at each end of a row that is told in short, and how many characters they may take."""
PROMPT = re.compile(r"prompt|prefix|virtual")
HEAD = re.compile(r"(^|\.)(classifier|score|pre_classifier|pooler)(\.|$)")
NORM = re.compile(r"(^|[._])(norm|layernorm|ln)([._0-9]|$)", re.IGNORECASE)


def trained_modules(model: Any, model_type: str) -> list[dict[str, Any]]:
    """Trained parameters by kind of module, largest first: kind, parameters, tensors."""
    parameters: Counter[str] = Counter()
    tensors: Counter[str] = Counter()
    for name, each in model.named_parameters():
        if each.requires_grad:
            kind = kind_of(name, model_type)
            parameters[kind] += each.numel()
            tensors[kind] += 1
    return [{"kind": kind, "parameters": count, "tensors": tensors[kind]} for kind, count in parameters.most_common()]


def kind_of(name: str, model_type: str) -> str:
    """q, k, v, o, up, gate, down, prompt, head, norm, bias or other, from a parameter's dotted name."""
    if PROMPT.search(name):
        return "prompt"
    if HEAD.search(name):
        return "head"
    if NORM.search(name):
        return "norm"
    role = next((role for module in _modules(name) if (role := role_of(model_type, module)) != "other"), "other")
    return "bias" if name.endswith(".bias") and "lora" not in name and role == "other" else role


def _modules(name: str) -> list[str]:
    """The names of all modules around a parameter, without what PEFT puts before them."""
    parts = [part for part in name.split(".") if part not in ("base_model", "base_layer", "modules_to_save", "default")]
    return [".".join(parts[:end]) for end in range(len(parts) - 1, 0, -1)]


def first_rows(rows: list[Sample], tokenizer: Any) -> list[dict[str, Any]]:
    """The first rows as the network reads them, in runs of text that the loss looks at or not."""
    return [_row(sample, tokenizer) for sample in rows[:ROWS_SHOWN]]


def _row(sample: Sample, tokenizer: Any) -> dict[str, Any]:
    marks = _marks(sample)
    runs: list[dict[str, Any]] = []
    left = CHARACTERS_SHOWN
    for trained, group in groupby(zip(sample.input_ids, marks, strict=True), key=lambda pair: pair[1]):
        text = tokenizer.decode([token for token, _ in group])[:left]
        left -= len(text)
        runs.append({"text": text, "trained": trained})
        if left <= 0:
            break
    return {
        "runs": runs,
        "tokens": len(sample.input_ids),
        "cut": left <= 0,
        "answer": _answer(sample, tokenizer),
    }


def tokens_of(sample: Sample, tokenizer: Any) -> dict[str, Any]:
    """One row token by token: its text, whether the loss looks at it, whether it is one of the tokenizer's own."""
    special = set(tokenizer.all_special_ids)
    marks = _marks(sample)
    pairs = list(zip(sample.input_ids, marks, strict=True))[:TOKENS_SHOWN]
    return {
        "tokens": [[tokenizer.decode([token]), trained, token in special] for token, trained in pairs],
        "length": sample.length,
        "cut": sample.cut,
        "supervised": sample.supervised,
        "answer": _answer(sample, tokenizer),
    }


def in_short(sample: Sample, tokenizer: Any) -> str:
    """The beginning and end of what is read of a row, as text: enough to know it by."""
    ids = sample.input_ids
    if len(ids) <= 2 * ENDS_SHOWN:
        return str(tokenizer.decode(ids))[: 2 * CHARACTERS_OF_AN_END]
    first, last = (str(tokenizer.decode(part)) for part in (ids[:ENDS_SHOWN], ids[-ENDS_SHOWN:]))
    return f"{first[:CHARACTERS_OF_AN_END]} … {last[-CHARACTERS_OF_AN_END:]}"


def _marks(sample: Sample) -> list[bool]:
    """For each token that is read, whether the loss looks at it."""
    masked = len(sample.labels) == len(sample.input_ids) and sample.decoder_ids is None
    return [label != IGNORED for label in sample.labels] if masked else [False] * len(sample.input_ids)


def _answer(sample: Sample, tokenizer: Any) -> str:
    """What an encoder-decoder learns to write; empty where the answer is part of the text."""
    if sample.decoder_ids is None:
        return ""
    text: str = tokenizer.decode([token for token in sample.labels if token != IGNORED])
    return text[:CHARACTERS_SHOWN]
