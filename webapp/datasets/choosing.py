"""The form under a check's result: what can be done about each kind of problem, and how the rows are split."""

from __future__ import annotations

from typing import Any

from django.http import QueryDict

from webapp.datasets.models import DatasetVersion
from webapp.datasets.problems import ACCEPT, OFFERED
from webapp.datasets.token_problems import acceptable
from webapp.datasets.uploading import UploadRefused

WORDS = {
    "skip_rows": "Leave these rows out",
    "convert_sharegpt": "Convert to role and content",
    "strip_nul": "Remove the NUL characters",
    "rename_columns": "Rename the second one",
    "drop_column": "Leave the nameless column out",
    "trim_labels": "Write them like the first one",
    "keep_one": "Keep one of each",
    "truncate_long": "Cut them there in trainings",
    "drop_long": "Leave them out of trainings",
    ACCEPT: "Accept it as it is",
}
VERBS = {
    "convert_encoding": "Convert from",
    "choose_entry": "Read",
    "choose_second_entry": "Read",
    "convert_numbers": "Write them plainly, read with a",
}
"""Of fixes of which one of several is chosen."""
LINES_SHOWN = 5
PERCENT_LEAST, PERCENT_MOST = 0.0, 90.0


def kinds_of(version: DatasetVersion) -> list[dict[str, Any]]:
    """Errors and warnings by kind: each with its first lines, what can be done, and how that would read."""
    found: dict[str, dict[str, Any]] = {}
    for problem in version.all_problems:
        if problem["severity"] == "notice":
            continue
        kind = found.setdefault(
            problem["code"], {"problem": problem, "lines": [], "options": _options(version, problem), "previews": []}
        )
        place = problem["where"]["line"] or problem["where"]["row"]
        if place and len(kind["lines"]) < LINES_SHOWN and f"{place:,}" not in kind["lines"]:
            kind["lines"].append(f"{place:,}")
        offers = [offer for fix in problem["fixes"] for offer in version.all_offers.get(fix, [])]
        kind["previews"] = kind["previews"] or [offer for offer in offers if offer.get("changes")]
    for kind in found.values():
        code = kind["problem"]["code"].removeprefix("dataset.")
        chosen = (version.asked.get("fixes") or {}).get(code) if version.step else None
        kind["preselected"] = chosen or _preselected(kind["problem"], kind["options"])
    return list(found.values())


def _preselected(problem: dict[str, Any], options: list[tuple[str, str]]) -> str:
    """What the form proposes: warnings are accepted, an only way out is taken; an encoding or file is never guessed."""
    if problem["severity"] == "warning":
        return ACCEPT
    return options[0][0] if options and ":" not in options[0][0] else ""


def _options(version: DatasetVersion, problem: dict[str, Any]) -> list[tuple[str, str]]:
    options: list[tuple[str, str]] = []
    for fix in problem["fixes"]:
        if fix in VERBS:
            offers = version.offers.get(fix, [])
            options += [(f"{fix}:{each['value']}", f"{VERBS[fix]} {each['name']}") for each in offers]
        else:
            options.append((fix, WORDS[fix]))
    return [*options, (ACCEPT, WORDS[ACCEPT])] if acceptable(problem) else options


def fixes_in_words(code: str) -> list[str]:
    """What can be chosen for a kind of problem beside leaving its rows out."""
    return [WORDS.get(fix, fix.replace("_", " ").capitalize()) for fix in OFFERED.get(code, ())]


def fixes_of(form: QueryDict) -> list[dict[str, str]]:
    """What is chosen for each kind of problem on the form; with an empty fix where it is left undecided."""
    parted = {name.removeprefix("fix."): str(form[name]).partition(":") for name in form if name.startswith("fix.")}
    return [{"code": code, "fix": fix, "value": value} for code, (fix, _, value) in parted.items()]


def split_now(version: DatasetVersion) -> dict[str, str]:
    """Share and seed as the form shows them; empty where the rows are split otherwise."""
    split = version.split or {}
    percent = f"{100 * split['fraction']:g}" if "fraction" in split else ""
    return {"percent": percent, "seed": str(split.get("seed", ""))}


def split_of(form: QueryDict) -> dict[str, Any] | None:
    """How the rows shall be split; None: as found. Raises UploadRefused where it makes no sense."""
    kind = form.get("split", "fraction")
    if kind == "column":
        return {"kind": "column", "column": form.get("split_column", "")}
    if kind == "file":
        return {"kind": "file"}
    percent, seed = (form.get(name, "").strip() for name in ("eval_percent", "seed"))
    if not percent:
        return None
    try:
        share, number = float(percent), int(seed or 17)
    except ValueError as error:
        raise UploadRefused(
            "dataset.split", "The held-out share or the seed is not a number.", "Give 10 and 17."
        ) from error
    if not PERCENT_LEAST <= share <= PERCENT_MOST or abs(number) >= 2**53:
        message = f"{percent[:20]} % cannot be held out, or the seed is too large."
        raise UploadRefused("dataset.split", message, f"Hold out {PERCENT_LEAST:g} to {PERCENT_MOST:g} percent.")
    return {"kind": "fraction", "fraction": share / 100, "seed": number}
