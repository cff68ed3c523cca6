"""Renders a conversation with the base model's own chat template and marks what the assistant said.

Most templates have no generation marks, and then the library's own assistant mask is all zeros; so the text is
rendered turn by turn, and what a turn adds is that turn.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from jinja2.exceptions import TemplateError

from workers.training.failures import JobFailure, RowRefused
from workers.training.samples import IGNORED

Message = dict[str, Any]
Span = tuple[int, int]
REFUSALS = {
    "tool_calls_unsupported": "the base model's chat template leaves its calls of tools out",
    "system_not_first": "the base model's chat template refuses a system message that stands after the first place",
    "turns_not_alternating": "the base model's chat template refuses two turns of the same role after each other",
}
"""Code, as the check of datasets has it -> the sentence after the row."""
WORDS_AT_MOST = 200


def encode(tokenizer: Any, messages: list[Message]) -> tuple[list[int], list[int]]:
    """Token ids of the whole conversation, and labels on the assistant's turns alone, each ending with an end token."""
    text = render(tokenizer, messages)
    if any(message.get("tool_calls") for message in messages) and text == render(tokenizer, _without_calls(messages)):
        raise RowRefused("tool_calls_unsupported", REFUSALS["tool_calls_unsupported"])
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
    except (TemplateError, TypeError) as error:
        raise _refused(messages, error) from error


def _refused(messages: list[Message], error: Exception) -> RowRefused:
    """What about this conversation the template does not take; where nothing shows, in the template's own words."""
    roles = [message["role"] for message in messages]
    # What a template raises itself is of this very class; what breaks in it says nothing to a person.
    words = str(error).strip()[:WORDS_AT_MOST] if type(error) is TemplateError else ""
    if "system" in roles[1:]:
        code = "system_not_first"
    elif any(one == other for one, other in pairwise(roles)):
        code = "turns_not_alternating"
    elif any(message.get("tool_calls") for message in messages):
        code = "tool_calls_unsupported"
    else:
        said = f" refuses it: {words}" if words else " breaks on it"
        return RowRefused("template_refuses", f"the base model's chat template{said}", words)
    return RowRefused(code, REFUSALS[code], words)


def _without_calls(messages: list[Message]) -> list[Message]:
    return [{name: value for name, value in message.items() if name != "tool_calls"} for message in messages]


def _speaks(message: Message) -> bool:
    return bool(message["role"] == "assistant")


def _span(tokenizer: Any, messages: list[Message], turn: int, text: str) -> Span:
    """Where in `text` the answer of this turn stands: from after the opening of the turn to where it ends."""
    # Before a first turn there is nothing to render; a template may still put its own system message there.
    opening = text[: max(0, text.find(str(messages[turn]["content"])))]
    before = render(tokenizer, messages[:turn], prompt=True) if turn else opening
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
