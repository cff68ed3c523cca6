"""What a token report found, in the shape of every problem: it depends on a base model, and stands beside the check.

The report is a worker's (the room of jobs asks for it), and what it said is kept as `token_stats` of the version.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from webapp.datasets.problems import OFFERED, SKIP, Problems

REFUSED = {
    "turns_not_alternating": (
        "two turns of the same role follow each other, and the chat template of {model} refuses that",
        "Join the turns, leave the rows out, or choose another base model.",
    ),
    "system_not_first": (
        "a system message stands after the first place, and the chat template of {model} refuses that",
        "Put it first, leave the rows out, or choose another base model.",
    ),
    "tool_calls_unsupported": (
        "the assistant calls tools, and the chat template of {model} leaves that out",
        "Choose a base model whose template renders tool calls, or leave the rows out.",
    ),
}
"""Code that the check knows, too -> the sentence after the rows, hint."""
SEEN_BY_CHECK = tuple(REFUSED)
"""The check can leave these rows out: it sees them without a base model."""
OF_A_BASE_MODEL = (*REFUSED, "template_refuses", "no_trainable_tokens", "too_long")
"""Whatever their severity, a person may keep such rows for another base model."""
Told = dict[str, Any]


def acceptable(problem: Told) -> bool:
    """Whether a person may leave it as it is."""
    return problem["severity"] == "warning" or problem["code"].removeprefix("dataset.") in OF_A_BASE_MODEL


def token_problems(stats: Told | None, file: str, readable: bool) -> list[Told]:
    """Errors and warnings of the newest token report; with fixes where the file can be read again."""
    if not stats:
        return []
    problems = Problems(file)
    for refusal in stats.get("refused") or []:
        message, hint = refusal_in_words(refusal, stats["base_model"])
        fixes = [SKIP] if readable and refusal["code"] in SEEN_BY_CHECK else []
        places = _where(refusal["first"])
        problems.error(refusal["code"], message, hint, count=refusal["rows"], fixes=fixes, **places)
    if empty := stats["rows_without_trainable_tokens"]:
        told: Callable[..., None] = problems.error if empty == stats.get("rows") else problems.warn
        message, hint = nothing_in_words(stats)
        told("no_trainable_tokens", message, hint, count=empty, fixes=[], **_where(stats.get("nothing")))
    if stats["cut_rows"]:
        fixes = list(OFFERED["too_long"]) if readable else []
        hint = "Have them cut or left out in trainings, or choose a longer length."
        hint = hint if readable else "A job's longest row decides; it can leave them out instead."
        message, places = _long_in_words(stats), _where(stats.get("long"))
        problems.warn("too_long", message, hint, count=stats["cut_rows"], fixes=fixes, **places)
    return problems.as_json()


def _where(first: list[Told] | None) -> Told:
    """The first place that is known; a line where the rows still have those of their file."""
    place = first[0] if first else {}
    return {"line": place.get("line"), "row": place.get("number")}


def _rows(count: int, stats: Told) -> str:
    return f"{'' if stats.get('every_row_read', True) else 'about '}{count:,} {'row' if count == 1 else 'rows'}"


def refusal_in_words(refusal: Told, model: str) -> tuple[str, str]:
    """Sentence and hint for rows that a chat template refuses."""
    rows = "1 row" if refusal["rows"] == 1 else f"{refusal['rows']:,} rows"
    first = f"In {rows}, the first of them row {refusal['first'][0]['number']:,}" if refusal["first"] else f"In {rows}"
    what, hint = REFUSED.get(refusal["code"], ("", "Choose another base model, or leave the rows out of the file."))
    if what:
        return f"{first}: {what.format(model=model)}.", hint
    words = str(refusal.get("words", "")).strip().rstrip(".")
    said = f", saying: {words}" if words else ""
    return f"{first}: the chat template of {model} refuses the messages{said}.", hint


def nothing_in_words(stats: Told) -> tuple[str, str]:
    """Sentence and hint for rows in which nothing is left to learn."""
    within = f"within {stats['max_length']:,} tokens of {stats['base_model']} nothing is left that the loss looks at"
    hint = "Choose a longer length, or look at the answers; a training leaves such rows out."
    return f"0 trainable tokens in {_rows(stats['rows_without_trainable_tokens'], stats)}: {within}.", hint


def _long_in_words(stats: Told) -> str:
    count, rows, tokens = stats["cut_rows"], stats.get("rows") or 0, stats.get("tokens") or 0
    of_rows = f" ({100 * count / rows:.3g} %)" if rows else ""
    be = "is" if count == 1 else "are"
    said = f"{_rows(count, stats)}{of_rows} {be} longer than {stats['max_length']:,} tokens of {stats['base_model']}"
    of_tokens = f"{100 * stats['cut_tokens'] / tokens:.3g} %" if tokens and "cut_tokens" in stats else "some"
    said = f"{said}; {of_tokens} of all tokens would be cut."
    return said[0].upper() + said[1:]


def token_offers(stats: Told | None) -> dict[str, list[Told]]:
    """By fix, the first rows that it changes."""
    rows = (stats or {}).get("long") or []
    if not rows:
        return {}
    cut = [_change(row, f"{row['cut']:,} cut away, kept: {row['kept']}") for row in rows]
    left = [_change(row, f"left out: {row['kept']}") for row in rows]
    length = f"{(stats or {})['max_length']:,} tokens"
    return {
        "truncate_long": [{"value": "", "name": f"cut at {length}", "changes": cut}],
        "drop_long": [{"value": "", "name": f"left out beyond {length}", "changes": left}],
    }


def _change(row: Told, what: str) -> Told:
    return {"line": row.get("line") or row["number"], "text": f"{row['length']:,} tokens, {what}"}
