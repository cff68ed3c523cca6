"""What a conversation must be: turns with a known role and text, an answer among them to learn from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from webapp.datasets.json_faults import FIELD_WORDS
from webapp.datasets.json_rows import Row
from webapp.datasets.problems import SKIP, Problems

ROLES = ("system", "user", "assistant", "tool")
CALL = '{"type": "function", "function": {"name": "…", "arguments": {…}}}'
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

    def read(self, value: Any, row: Row) -> list[dict[str, Any]] | None:
        """The turns as role, content and calls of tools, or None after noting why not."""
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

    def _turn(self, turn: Any, place: int, row: Row) -> dict[str, Any] | None:
        where = f"Row {row[1]:,}, message {place:,}"
        finding = _turn_fault(turn)
        if finding:
            self._note("error", finding, where, row)
            return None
        calls = {"tool_calls": turn["tool_calls"]} if turn.get("tool_calls") else {}
        content = turn["content"] or ""
        if not content.strip() and not calls:
            self._note("warning", ("empty_text", " is empty.", "Fill it in, or remove the row."), where, row)
        unused = turn.keys() - {"role", "content", "tool_calls"}
        if unused:
            named = ", ".join(f"`{name[:40]}`" for name in sorted(unused)[:5])
            finding = "unused_message_keys", f": {named} is not used.", "Only role and content are read."
            self._note("warning", finding, where, row)
        return {"role": turn["role"], "content": content, **calls}

    def _is_whole(self, turns: list[dict[str, Any]], row: Row) -> bool:
        roles = [turn["role"] for turn in turns]
        if "assistant" not in roles:
            what = " has no assistant message, so nothing to train on."
            finding = "no_assistant_turn", what, "Add the answer with the role assistant."
            self._note("error", finding, f"Row {row[1]:,}", row)
            return False
        goes = [self._goes(finding, row) for finding in _for_some_templates(turns)]  # each is noted
        return not any(goes)

    def _goes(self, finding: Finding, row: Row) -> bool:
        """Note what some base models' templates refuse; whether a person chose to leave such rows out."""
        code, what, hint = finding
        goes = self.problems.chosen.get(code) == SKIP
        severity, message = "error" if goes else "warning", f"Row {row[1]:,}{what}"
        self.problems.add(severity, code, message, hint, fixes=[SKIP], line=row[0], row=row[1], field=self.column)
        return goes


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


def _are_calls(calls: Any) -> bool:
    """Whether a template can render them: plain JSON, each call with the name of a function."""
    if not isinstance(calls, list) or not _is_plain(calls):
        return False
    functions = [call.get("function") if isinstance(call, dict) else None for call in calls]
    return all(isinstance(each, dict) and isinstance(each.get("name"), str) for each in functions)


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(name, str) and _is_plain(each) for name, each in value.items())
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | int | float)


def _turn_fault(turn: Any) -> Finding | None:
    if not isinstance(turn, dict) or "role" not in turn or "content" not in turn:
        return "message_shape", " lacks role or content.", f"Write {EXAMPLE}."
    role, content = turn["role"], turn["content"]
    if not isinstance(role, str) or role not in ROLES:
        known = ", ".join(ROLES)
        return "unknown_role", f": role `{str(role)[:40]}`; known are {known}.", "Use one of these."
    if turn.get("tool_calls"):
        if role != "assistant" or not _are_calls(turn["tool_calls"]):
            what = f": `tool_calls` is not a list of an assistant's calls like {CALL}."
            return "tool_calls_unsupported", what, "Write them so, or remove the row."
        content = content or ""
    if isinstance(content, list):
        what = ": the content is a list. The base model takes text only."
        return "multimodal_content", what, "Write the content as text."
    if not isinstance(content, str):
        what = f": the content is {FIELD_WORDS[type(content)]}, where text is wanted."
        return "type_changed", what, "Write it as text, in quotes."
    return None


def _for_some_templates(turns: list[dict[str, Any]]) -> Iterator[Finding]:
    """What one base model's chat template takes and another's refuses: a token report says which."""
    roles = [turn["role"] for turn in turns]
    if "system" in roles[1:]:
        hint = "Some base models' templates refuse this; put it first if so."
        yield "system_not_first", ": a system message stands after the first place.", hint
    if any(left == right and left in ("user", "assistant") for left, right in pairwise(roles)):
        hint = "Some base models' templates refuse this; join the turns if so."
        yield "turns_not_alternating", ": two turns of the same role follow each other.", hint
    if any("tool_calls" in turn for turn in turns):
        hint = "Many base models' templates leave calls out, and such rows are then refused."
        yield "tool_calls_unsupported", ": the assistant calls tools.", hint
