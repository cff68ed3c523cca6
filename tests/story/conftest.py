"""One running stack for all stories, with toy base models registered and toy datasets checked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.story import toys
from tests.story.stack import Stack, running_stack


@pytest.fixture(scope="session")
def models_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    toys.toy_bert(folder / "toy-bert")
    toys.toy_llama(folder / "toy-llama")
    return folder


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, models_folder: Path) -> Iterator[Stack]:
    var = tmp_path_factory.mktemp("stack") / "var"
    with running_stack(var, DELTABOARD_MODEL_FOLDERS=os.fspath(models_folder)) as stack:
        yield stack


@dataclass
class Shelf:
    """What the stories choose from: ids."""

    bert: int
    llama: int
    reviews: int
    completions: int


@pytest.fixture(scope="session")
def shelf(stack: Stack, models_folder: Path) -> Shelf:
    bert = _register(stack, models_folder / "toy-bert")
    llama = _register(stack, models_folder / "toy-llama")
    reviews = upload(stack, "reviews", "reviews.jsonl", toys.reviews())
    completions = upload(stack, "completions", "completions.jsonl", toys.completions())
    for model in (bert, llama):
        stack.wait_for("base model ready", lambda model=model: _ready(stack, f"base-models/{model}"))
    for version in (reviews, completions):
        stack.wait_for("dataset ready", lambda version=version: _ready(stack, f"dataset-versions/{version}"))
    return Shelf(bert, llama, reviews, completions)


def _register(stack: Stack, folder: Path) -> int:
    answer = stack.api("post", "base-models", json={"folder": str(folder)})
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


def upload(stack: Stack, name: str, file_name: str, content: bytes) -> int:
    """The id of the new version, still in `checking`."""
    answer = stack.api("post", "datasets", data={"name": name}, files={"file": (file_name, content)})
    assert answer.status_code == 201, answer.text
    return int(answer.json()["version"]["id"])


def _ready(stack: Stack, path: str) -> dict[str, Any] | None:
    found: dict[str, Any] = stack.api("get", path).json()
    assert found["state"] in ("checking", "ready"), found
    return found if found["state"] == "ready" else None


def launch(stack: Stack, base_model: int, version: int, method: str = "lora", **rest: Any) -> int:
    body = {"base_model": base_model, "dataset_version": version, "method": method, **rest}
    answer = stack.api("post", "jobs", json=body)
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])
