"""What a conversation must be: turns with a known role and text, an answer among them to learn from."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from webapp.datasets.json_faults import FIELD_WORDS
from webapp.datasets.json_rows import Row
from webapp.datasets.problems import Problems

ROLES = ("system", "user", "assistant", "tool")
EXAMPLE = '{"role": "user", "content": "…"}'
SHAREGPT = "Have it converted: `from` becomes role (human is user, gpt is assistant), `value` becomes content."
FROM_ROLES = {
    **dict.fromkeys(("human", "user"), "user"),
    **dict.fromkeys(("gpt", "assistant", "chatgpt", "bard", "bing", "model"), "assistant"),
    "system": "system",
    **dict.fromkeys(("tool", "observation", "function_response"), "tool"),
}
CONVERTED_SHOWN = 20
Finding = tuple[str, str, str]
"""Code, the sentence after the place, hint."""


@dataclass
class Chats:
    """Reads the cells of one column as conversations, noting what is wrong with them."""

    column: str
    problems: Problems
    converted: list[dict[str, Any]] = field(default_factory=list)
    """How the first ShareGPT conversations would read."""

    def read(self, value: Any, row: Row) -> list[dict[str, str]] | None:
        """The turns as role and content, or None after noting why not."""
        if is_usual(value):
            return value  # type: ignore[no-any-return]
        if is_sharegpt(value):
            renamed = [_renamed_turn(turn) for turn in value]
            if self.problems.chosen.get("sharegpt") != "convert_sharegpt":
                self._offer(renamed, row)
                return None
            value = renamed
        finding = self._shape_fault(value)
        if finding:
            self._note("error", finding, f"Row {row[1]:,}", row)
            return None
        turns = [self._turn(turn, place, row) for place, turn in enumerate(value, start=1)]
        read = [turn for turn in turns if turn is not None]
        return read if len(read) == len(turns) and self._is_whole(read, row) else None

    def _offer(self, turns: list[dict[str, Any]], row: Row) -> None:
        if len(self.converted) < CONVERTED_SHOWN:
            text = " · ".join(f"{str(turn['role'])[:20]}: {str(turn['content'])[:60]}" for turn in turns[:4])
            self.converted.append({"line": row[0], "text": text})
        what = " has messages written as `from` and `value` (ShareGPT)."
        self._note("error", ("sharegpt", what, SHAREGPT), f"Row {row[1]:,}", row)

    def _note(self, severity: str, finding: Finding, where: str, row: Row) -> None:
        code, what, hint = finding
        self.problems.add(severity, code, f"{where}{what}", hint, line=row[0], row=row[1], field=self.column)

    def _shape_fault(self, value: Any) -> Finding | None:
        if not isinstance(value, list):
            what = f": `{self.column}` is {FIELD_WORDS[type(value)]}, where a list of messages is wanted."
            return "type_changed", what, f"Write [{EXAMPLE}, …]."
        return None if value else ("empty_messages", " has no messages.", "Add some, or remove the row.")

    def _turn(self, turn: Any, place: int, row: Row) -> dict[str, str] | None:
        where = f"Row {row[1]:,}, message {place:,}"
        finding = _turn_fault(turn)
        if finding:
            self._note("error", finding, where, row)
            return None
        if not turn["content"].strip():
            self._note("warning", ("empty_text", " is empty.", "Fill it in, or remove the row."), where, row)
        unused = turn.keys() - {"role", "content", "tool_calls"}
        if unused:
            named = ", ".join(f"`{name[:40]}`" for name in sorted(unused)[:5])
            finding = "unused_message_keys", f": {named} is not used.", "Only role and content are read."
            self._note("warning", finding, where, row)
        return {"role": turn["role"], "content": turn["content"]}

    def _is_whole(self, turns: list[dict[str, str]], row: Row) -> bool:
        roles = [turn["role"] for turn in turns]
        finding = _roles_fault(roles)
        if finding:
            self._note("error", finding, f"Row {row[1]:,}", row)
        elif any(left == right and left in ("user", "assistant") for left, right in pairwise(roles)):
            hint = "Some base models' templates refuse this; join the turns if so."
            finding = "turns_not_alternating", ": two turns of the same role follow each other.", hint
            self._note("warning", finding, f"Row {row[1]:,}", row)
            return True
        return finding is None


def is_usual(value: Any) -> bool:
    """Whether nothing is to be said about a conversation, nor changed in it: nearly all are so, and there are many."""
    if type(value) is not list:
        return False
    before, answered = "", False
    for turn in value:
        if type(turn) is not dict or tuple(turn) != ("role", "content"):
            return False
        role, content = turn["role"], turn["content"]
        if type(content) is not str or not content or content.isspace() or role == before:
            return False
        if role == "assistant":
            answered = True
        elif role != "user" and not (role == "system" and not before):
            return False
        before = role
    return answered


def is_sharegpt(value: Any) -> bool:
    """Whether a conversation is written in the ShareGPT way."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(turn, dict) and {"from", "value"} <= turn.keys() and "role" not in turn for turn in value)
    )


def _renamed_turn(turn: dict[str, Any]) -> dict[str, Any]:
    who = turn["from"]
    role = FROM_ROLES.get(who.strip().lower(), who) if isinstance(who, str) else who
    return {"role": role, "content": turn["value"]}


def _turn_fault(turn: Any) -> Finding | None:
    if not isinstance(turn, dict) or "role" not in turn or "content" not in turn:
        return "message_shape", " lacks role or content.", f"Write {EXAMPLE}."
    role, content = turn["role"], turn["content"]
    if not isinstance(role, str) or role not in ROLES:
        known = ", ".join(ROLES)
        return "unknown_role", f": role `{str(role)[:40]}`; known are {known}.", "Use one of these."
    if turn.get("tool_calls"):
        hint = "Write the answer as text, or remove the row."
        return "tool_calls_unsupported", " calls tools, which cannot be trained on yet.", hint
    if isinstance(content, list):
        what = ": the content is a list. The base model takes text only."
        return "multimodal_content", what, "Write the content as text."
    if not isinstance(content, str):
        what = f": the content is {FIELD_WORDS[type(content)]}, where text is wanted."
        return "type_changed", what, "Write it as text, in quotes."
    return None


def _roles_fault(roles: list[str]) -> Finding | None:
    if "assistant" not in roles:
        what = " has no assistant message, so nothing to train on."
        return "no_assistant_turn", what, "Add the answer with the role assistant."
    if "system" in roles[1:]:
        return "system_not_first", ": a system message stands after the first place.", "Put it first."
    return None
