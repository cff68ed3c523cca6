"""Which task a file is for and which of its columns plays which part: asked for, or guessed with a reason."""

from __future__ import annotations

from dataclasses import dataclass

from webapp.datasets.problems import Problems

PARTS: dict[str, tuple[str, ...]] = {
    "text": ("text", "sentence", "review", "content", "document", "comment", "tweet", "body"),
    "text_pair": ("text_pair", "sentence2", "text2", "passage", "hypothesis"),
    "label": ("label", "labels", "class", "category", "sentiment", "target", "topic"),
    "prompt": ("prompt", "instruction", "question", "input", "query"),
    "completion": ("completion", "response", "answer", "output", "reply"),
    "messages": ("messages", "conversation", "conversations", "chat", "dialog"),
}
"""Part -> names by which it is recognised, the best first."""
SHAPES: dict[str, tuple[tuple[str, ...], ...]] = {
    "text-classification": (("text", "label"),),
    "causal-lm": (("messages",), ("prompt", "completion"), ("text",)),
}
"""Task -> the sets of parts that it can be made of, the most telling first."""
OPTIONAL = {"text-classification": ("text_pair",), "causal-lm": ()}


@dataclass(frozen=True)
class Mapping:
    """The task, and part -> column."""

    task: str
    columns: dict[str, str]
    reasons: list[str]


def choose(columns: list[str], task: str | None, asked: dict[str, str] | None, problems: Problems) -> Mapping:
    """What was asked for, completed by guesses. Raises Refused naming the columns that exist."""
    if task is not None and task not in SHAPES:
        known = " or ".join(SHAPES)
        raise problems.refuse("task", f"`{task}` is no task for a dataset.", f"Choose {known}.")
    found = _asked(columns, asked or {}, problems) | {
        part: column for part, column in _guessed(columns).items() if part not in (asked or {})
    }
    for candidate in [task] if task else list(SHAPES):
        for shape in SHAPES[candidate]:
            if all(part in found for part in shape):
                return _mapping(candidate, shape, found, task, asked or {})
    raise _refusal(columns, task, found, problems)


def _asked(columns: list[str], asked: dict[str, str], problems: Problems) -> dict[str, str]:
    for part, column in asked.items():
        if part not in PARTS:
            raise problems.refuse("mapping", f"`{part}` is no part of a row.", f"Parts are: {', '.join(PARTS)}.")
        if column not in columns:
            message = f"There is no column `{column}`; the file has {_listed(columns)}."
            raise problems.refuse("missing_column", message, f"Name the column that holds the {part}.", field=column)
    return dict(asked)


def _guessed(columns: list[str]) -> dict[str, str]:
    by_name = {column.strip().lower(): column for column in reversed(columns)}
    guesses = {part: next((by_name[name] for name in names if name in by_name), None) for part, names in PARTS.items()}
    return {part: column for part, column in guesses.items() if column is not None}


def _mapping(
    task: str, shape: tuple[str, ...], found: dict[str, str], asked_task: str | None, asked: dict[str, str]
) -> Mapping:
    parts = [*shape, *(part for part in OPTIONAL[task] if part in found and "text" in shape)]
    columns = {part: found[part] for part in parts}
    named = ", ".join(f"`{column}`" for column in columns.values())
    reasons = []
    if asked_task is None:
        reasons.append(f"Taken as {task}, because of the column{'s' if len(columns) > 1 else ''} {named}.")
    reasons += [
        f"`{column}` is read as {part}." for part, column in columns.items() if part != column and part not in asked
    ]
    return Mapping(task, columns, reasons)


def _refusal(columns: list[str], task: str | None, found: dict[str, str], problems: Problems) -> Exception:
    if task is None:
        message = f"No task fits the columns {_listed(columns)}."
        hint = "Name them text and label, or prompt and completion, or messages; or say which column plays which part."
        return problems.refuse("missing_column", message, hint)
    wanted = SHAPES[task][0] if task == "text-classification" else SHAPES[task][1]
    missing = next(part for part in wanted if part not in found)
    message = f"There is no column `{missing}`; the file has {_listed(columns)}."
    return problems.refuse(
        "missing_column", message, f"Add it, or say which column holds the {missing}.", field=missing
    )


def _listed(columns: list[str]) -> str:
    shown = ", ".join(f"`{column[:40]}`" for column in columns[:12])
    return shown + (f" and {len(columns) - 12} more" if len(columns) > 12 else "") if columns else "none"
