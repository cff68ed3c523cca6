"""Renders a conversation with the base model's own chat template and marks what the assistant said.

Most templates have no generation marks, and then the library's own assistant mask is all zeros; so the text is
rendered turn by turn, and what a turn adds is that turn.
"""

from __future__ import annotations

from typing import Any

from jinja2.exceptions import TemplateError

from workers.training.failures import JobFailure
from workers.training.samples import IGNORED

Message = dict[str, Any]
Span = tuple[int, int]


def encode(tokenizer: Any, messages: list[Message]) -> tuple[list[int], list[int]]:
    """Token ids of the whole conversation, and labels on the assistant's turns alone, each ending with an end token."""
    text = render(tokenizer, messages)
    spans = [_span(tokenizer, messages, turn, text) for turn in range(len(messages)) if _speaks(messages[turn])]
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    input_ids: list[int] = []
    labels: list[int] = []
    for span, tokens in _stretches(encoded["input_ids"], encoded["offset_mapping"], spans):
        supervised, rest = _ended(tokenizer, tokens) if span else ([], tokens)
        input_ids += supervised + rest
        labels += supervised + [IGNORED] * len(rest)
    return input_ids, labels


def render(tokenizer: Any, messages: list[Message], *, prompt: bool = False) -> str:
    """The conversation as text; `prompt`: with the opening of an answer at its end."""
    if not tokenizer.chat_template:
        raise JobFailure(
            "bad_config",
            "The dataset has `messages`, but the base model has no chat template. "
            "Choose an instruction-tuned base model, or rows with `prompt` and `completion`.",
        )
    try:
        return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt))
    except TemplateError as error:
        raise JobFailure("bad_data", f"The chat template refuses a conversation: {error}") from error


def _speaks(message: Message) -> bool:
    return bool(message["role"] == "assistant")


def _span(tokenizer: Any, messages: list[Message], turn: int, text: str) -> Span:
    """Where in `text` the answer of this turn stands: from after the opening of the turn to where it ends."""
    before = render(tokenizer, messages[:turn], prompt=True) if turn else ""
    after = text if turn == len(messages) - 1 else render(tokenizer, messages[: turn + 1])
    # Some templates word earlier turns differently once a later one follows; what both have in common still holds.
    return _common(before, text), _common(after, text)


def _common(one: str, other: str) -> int:
    if other.startswith(one):
        return len(one)
    return next(place for place, (a, b) in enumerate(zip(one, other + "\0", strict=False)) if a != b)


def _stretches(ids: list[int], offsets: list[Span], spans: list[Span]) -> list[tuple[Span | None, list[int]]]:
    """Tokens in runs of the same span; a token belongs to the span in which it begins."""
    runs: list[tuple[Span | None, list[int]]] = []
    for token, (start, _) in zip(ids, offsets, strict=True):
        span = next((span for span in spans if span[0] <= start < span[1]), None)
        if not runs or runs[-1][0] != span:
            runs.append((span, []))
        runs[-1][1].append(token)
    return runs


def _ended(tokenizer: Any, tokens: list[int]) -> tuple[list[int], list[int]]:
    """Split an answer after the special token that ends the turn; where none does, the end token is put there."""
    ends = [place for place, token in enumerate(tokens) if token in _turn_ends(tokenizer)]
    if ends and not tokenizer.decode(tokens[ends[-1] + 1 :]).strip():
        return tokens[: ends[-1] + 1], tokens[ends[-1] + 1 :]
    return [*tokens, tokenizer.eos_token_id], []


def _turn_ends(tokenizer: Any) -> set[int]:
    """Chat models end turns with a special token that need not be the tokenizer's own end token."""
    return set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
