"""Answers an inspection: `python -m workers.training.inspection DIR` reads question.json and leaves answer.json.

What the answer needs was fetched into inputs/ before; this process never goes to the network.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import transformers

from workers.protocol import InspectionFolder
from workers.training import merging
from workers.training.base_model_folder import NAME_KEYS, WANTED, InspectionProblem, check_folder, weight_files
from workers.training.facts import facts_of
from workers.training.starter import BASE_MODELS, DATASETS
from workers.training.starter.package import package_file
from workers.training.token_report import report

Answer = dict[str, Any]


def answer(folder: InspectionFolder) -> Answer:
    """The answer to the folder's question, or `{"problem": {code, message, hint}}`."""
    question = json.loads(folder.question.read_text(encoding="utf-8"))
    try:
        return ANSWERS[question["kind"]](folder, question)
    except InspectionProblem as problem:
        shutil.rmtree(folder.output, ignore_errors=True)
        return {"problem": {"code": problem.code, "message": problem.message, "hint": problem.hint}}


def base_model_shape(folder: InspectionFolder, question: dict[str, Any]) -> Answer:
    """Facts from config and tokenizer alone; the weights stay where they are."""
    return facts_of(folder.inputs, check_folder(folder.inputs, with_weights=False))


def hub_base_model(folder: InspectionFolder, question: dict[str, Any]) -> Answer:
    """Check what was fetched from a hub and hand on the files that a training needs."""
    weights = check_folder(folder.inputs, with_weights=True)
    folder.output.mkdir(parents=True, exist_ok=True)
    names = sorted(path.name for path in folder.inputs.iterdir() if path.is_file())
    kept = set(weight_files(names))
    for name in names:
        if WANTED.match(name) and name not in FETCHER_NOTES and (name in kept or not name.endswith(".safetensors")):
            _hand_on(folder.inputs / name, folder.output / name)
    forget_names(folder.output)
    revision, licence = (_note(folder.inputs / name) for name in FETCHER_NOTES)
    return {**facts_of(folder.output, weights), "revision": revision or question["revision"], "licence": licence}


FETCHER_NOTES = ("revision.txt", "licence.txt")
"""Left by the worker that fetched the files: the commit and the licence that the hub names."""


def starter_base_model(folder: InspectionFolder, question: dict[str, Any]) -> Answer:
    """Convert a package of the starter catalogue into a base model folder."""
    entry = question["entry"]
    folder.output.mkdir(parents=True, exist_ok=True)
    BASE_MODELS[entry["converter"]](package_file(folder.inputs, entry), entry["member"], folder.output)
    forget_names(folder.output)
    facts = facts_of(folder.output, check_folder(folder.output, with_weights=True))
    return {**facts, "licence": entry.get("licence")}


def starter_dataset(folder: InspectionFolder, question: dict[str, Any]) -> Answer:
    """Convert a package of the starter catalogue into rows."""
    entry = question["entry"]
    converter = DATASETS[entry["converter"]]
    folder.output.mkdir(parents=True, exist_ok=True)
    rows = 0
    with (folder.output / "rows.jsonl").open("w", encoding="utf-8") as file:
        for row in converter.rows(package_file(folder.inputs, entry), entry["member"]):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            rows += 1
    return {"task": converter.task, "rows": rows}


def merged_model(folder: InspectionFolder, question: dict[str, Any]) -> Answer:
    """Merge a delta artifact into its base model; both were sent along."""
    manifest = merging.merge(folder.inputs / "base_model", folder.inputs / "artifact", folder.output)
    return {"manifest": manifest}


def token_report(folder: InspectionFolder, question: dict[str, Any]) -> Answer:
    """Lengths and loss mask of a dataset version's rows for the tokenizer of a base model; both were sent along."""
    return report(folder.inputs / "base_model", folder.inputs / "rows.jsonl", question)


ANSWERS: dict[str, Callable[[InspectionFolder, dict[str, Any]], Answer]] = {
    "base_model_shape": base_model_shape,
    "hub_base_model": hub_base_model,
    "merged_model": merged_model,
    "token_report": token_report,
    "starter_base_model": starter_base_model,
    "starter_dataset": starter_dataset,
}


def forget_names(folder: Path) -> None:
    """Drop the name or path that a config remembers of where it was saved: it is nobody's business here."""
    for name in ("config.json", "tokenizer_config.json"):
        path = folder / name
        if not path.exists():
            continue
        config = json.loads(path.read_text(encoding="utf-8"))
        if any(config.pop(key, None) is not None for key in NAME_KEYS):
            path.unlink()
            path.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _hand_on(source: Path, target: Path) -> None:
    """Without a second copy where the file system allows it."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _note(path: Path) -> str | None:
    return path.read_text(encoding="utf-8").strip() or None if path.exists() else None


def write_answer(path: Path, value: Answer) -> None:
    """Complete or absent."""
    path.parent.mkdir(exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("w", encoding="utf-8") as file:
        json.dump(value, file, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def main(arguments: list[str]) -> None:
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    folder = InspectionFolder(Path(arguments[0]))
    write_answer(folder.answer, answer(folder))


if __name__ == "__main__":
    main(sys.argv[1:])
