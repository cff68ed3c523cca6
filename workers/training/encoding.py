"""Turns one row into token ids and labels: classification, prompt and completion, conversation, text, text to text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from workers.training import chat
from workers.training.failures import JobFailure
from workers.training.samples import IGNORED, Sample, fitted

Row = dict[str, Any]
Encoder = Callable[[Row], Sample]


def classification_encoder(tokenizer: Any, labels: tuple[str, ...], max_length: int) -> Encoder:
    """`text` (and `text_pair`) to a class; the longer text of a pair is cut first."""
    numbers = {label: number for number, label in enumerate(labels)}

    def encode(row: Row) -> Sample:
        encoded = tokenizer(row["text"], row.get("text_pair"), truncation=True, max_length=max_length)
        cut = 0
        if len(encoded["input_ids"]) == max_length:
            cut = len(tokenizer(row["text"], row.get("text_pair"))["input_ids"]) - max_length
        label = [_class(row["label"], numbers)]
        return Sample(encoded["input_ids"], label, encoded.get("token_type_ids"), cut, is_class=True)

    return encode


def _class(label: Any, numbers: dict[str, int]) -> int:
    if str(label) in numbers:
        return numbers[str(label)]
    raise JobFailure("bad_data", f"A row has the label {label!r}, which is not among: {', '.join(numbers)}.")


def causal_encoder(tokenizer: Any, max_length: int) -> Encoder:
    """`messages`, `prompt` and `completion`, or `text` to ids; the loss sees what the base model shall learn to say."""
    opens = tokenizer("", add_special_tokens=True)["input_ids"][:1] == [tokenizer.bos_token_id]

    def encode(row: Row) -> Sample:
        if "messages" in row:
            ids, labels = chat.encode(tokenizer, row["messages"])
            return fitted(ids, labels, max_length, keep_first=ids[:1] == [tokenizer.bos_token_id])
        if "completion" in row:
            ids, labels, remark = _completion(tokenizer, str(row.get("prompt") or ""), str(row["completion"]))
            return fitted(ids, labels, max_length, opens, remark)
        ids = [*tokenizer(row["text"])["input_ids"], tokenizer.eos_token_id]
        return fitted(ids, list(ids), max_length, opens)

    return encode


def seq2seq_encoder(tokenizer: Any, max_length: int, decoder_start: int) -> Encoder:
    """`source` to ids for the encoder, `target` to labels with the end token; each is cut on its right."""

    def encode(row: Row) -> Sample:
        source = tokenizer(row["source"])["input_ids"]
        target = _without_end(tokenizer, tokenizer(text_target=row["target"])["input_ids"])
        # A source that was cut keeps its end token, as the encoder was trained with it.
        ends = source[-1:] == [tokenizer.eos_token_id]
        kept = source if len(source) <= max_length else source[: max_length - ends] + source[-1:] * ends
        labels = [*target[: max_length - 1], tokenizer.eos_token_id]
        cut_target = max(0, len(target) + 1 - max_length)
        cut = max(0, len(source) - max_length) + cut_target
        return Sample(kept, labels, cut=cut, cut_target=cut_target, decoder_ids=[decoder_start, *labels[:-1]])

    return encode


MERGED = "the end of the prompt and the start of the completion form one token; the loss begins with that token"


def _completion(tokenizer: Any, prompt: str, completion: str) -> tuple[list[int], list[int], str]:
    """Ids of both with the end token, labels on the completion, and a remark where tokens straddle the border."""
    before = _without_end(tokenizer, tokenizer(prompt)["input_ids"])
    ids = [*_without_end(tokenizer, tokenizer(prompt + completion)["input_ids"]), tokenizer.eos_token_id]
    common = 0
    while common < min(len(before), len(ids)) and before[common] == ids[common]:
        common += 1
    remark = MERGED if common < len(before) else ""
    return ids, [IGNORED] * common + ids[common:], remark


def _without_end(tokenizer: Any, ids: list[int]) -> list[int]:
    """Some tokenizers end every text themselves."""
    return ids[:-1] if len(ids) > 1 and ids[-1] == tokenizer.eos_token_id else ids
