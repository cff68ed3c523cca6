"""Which task a file is for and which of its columns plays which part: asked for, or guessed with a reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from webapp.datasets.problems import Problems, Refused

PARTS: dict[str, tuple[str, ...]] = {
    "text": ("text", "sentence", "sentence1", "review", "content", "document", "comment", "tweet", "body", "premise"),
    "text_pair": ("text_pair", "sentence2", "text2", "passage", "hypothesis"),
    "label": ("label", "labels", "class", "category", "sentiment", "target", "topic"),
    "prompt": ("prompt", "instruction", "question", "input", "query"),
    "completion": ("completion", "response", "answer", "output", "reply"),
    "source": ("source", "article"),
    "target": ("target", "summary", "headline", "translation"),
    "messages": ("messages", "conversation", "conversations", "chat", "dialog"),
}
"""Part -> names by which it is recognised, the best first."""
SHAPES: dict[str, tuple[tuple[str, ...], ...]] = {
    "text-classification": (("text", "label"),),
    "causal-lm": (("messages",), ("prompt", "completion"), ("text",)),
    "seq2seq": (("source", "target"),),
}
"""Task -> the sets of parts that it can be made of, the most telling first."""
OPTIONAL: dict[tuple[str, ...], tuple[str, ...]] = {("text", "label"): ("text_pair",)}


@dataclass(frozen=True)
class Mapping:
    """The task, and part -> column."""

    task: str
    columns: dict[str, str]
    reasons: list[str]


def choose(columns: list[str], task: str | None, asked: dict[str, Any] | None, problems: Problems) -> Mapping:
    """What was asked for, completed by guesses. Raises Refused naming the columns that exist."""
    if task is not None and task not in SHAPES:
        known = " or ".join(SHAPES)
        raise problems.refuse("task", f"`{task}` is no task for a dataset.", f"Choose {known}.")
    wanted = _asked(columns, asked or {}, problems)
    found = _guessed(columns, set(wanted.values())) | wanted
    candidates = [(each, shape) for each in ([task] if task else SHAPES) for shape in SHAPES[each]]
    fitting = [(each, shape) for each, shape in candidates if set(wanted) <= {*shape, *OPTIONAL.get(shape, ())}]
    for each, shape in fitting:
        if all(part in found for part in shape):
            return _mapping(each, shape, found, task, wanted)
    raise _refusal(columns, task, [shape for _, shape in fitting], found, problems)


def _asked(columns: list[str], asked: dict[str, Any], problems: Problems) -> dict[str, str]:
    for part, column in asked.items():
        if part not in PARTS:
            raise problems.refuse("mapping", f"`{part}` is no part of a row.", f"Parts are: {', '.join(PARTS)}.")
        if column not in columns:
            message = f"There is no column `{column}`; the file has {_listed(columns)}."
            hint = f"Name the column that holds the {part}."
            raise problems.refuse("missing_column", message, hint, field=str(column))
        if list(asked.values()).count(column) > 1:
            message = f"The column `{column}` is asked for as more than one part."
            raise problems.refuse("mapping", message, "Give each part a column of its own.", field=column)
    return dict(asked)


def _guessed(columns: list[str], taken: set[str]) -> dict[str, str]:
    by_name = {column.strip().lower(): column for column in reversed(columns) if column not in taken}
    guesses = {part: next((by_name[name] for name in names if name in by_name), None) for part, names in PARTS.items()}
    return {part: column for part, column in guesses.items() if column is not None}


def _mapping(
    task: str, shape: tuple[str, ...], found: dict[str, str], asked_task: str | None, asked: dict[str, str]
) -> Mapping:
    parts = [*shape, *(part for part in OPTIONAL.get(shape, ()) if part in found)]
    columns = {part: found[part] for part in parts}
    named = ", ".join(f"`{column}`" for column in columns.values())
    reasons = []
    if asked_task is None:
        reasons.append(f"Taken as {task}, because of the column{'s' if len(columns) > 1 else ''} {named}.")
    reasons += [
        f"`{column}` is read as {part}." for part, column in columns.items() if part != column and part not in asked
    ]
    return Mapping(task, columns, reasons)


def _refusal(
    columns: list[str], task: str | None, shapes: list[tuple[str, ...]], found: dict[str, str], problems: Problems
) -> Refused:
    """Names the part that is missing where only one thing can be meant, else what would fit."""
    nearest = max(shapes, key=lambda shape: sum(part in found for part in shape) / len(shape), default=())
    missing = next((part for part in nearest if part not in found), None)
    if missing is None or (task is None and not any(part in found for part in nearest)):
        message = f"No task fits the columns {_listed(columns)}."
        if task:
            message = f"The columns asked for do not fit {task}; the file has {_listed(columns)}."
        hint = "Name them text and label, prompt and completion, messages, or source and target; "
        hint += "or say which column plays which part."
        return problems.refuse("missing_column", message, hint)
    message = f"There is no column `{missing}`; the file has {_listed(columns)}."
    hint = f"Add it, or say which column holds the {missing}."
    return problems.refuse("missing_column", message, hint, field=missing)


def _listed(columns: list[str]) -> str:
    shown = ", ".join(f"`{column[:40]}`" for column in columns[:12])
    return shown + (f" and {len(columns) - 12} more" if len(columns) > 12 else "") if columns else "none"
