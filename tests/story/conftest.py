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


@pytest.fixture(scope="package")
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


@pytest.fixture(scope="package")
def shelf(stack: Stack, models_folder: Path) -> Shelf:
    bert = register(stack, models_folder / "toy-bert")
    llama = register(stack, models_folder / "toy-llama")
    reviews = upload(stack, "reviews", "reviews.jsonl", toys.reviews())
    completions = upload(stack, "completions", "completions.jsonl", toys.completions())
    for path in (f"base-models/{bert}", f"base-models/{llama}"):
        wait_until_ready(stack, path)
    for path in (f"dataset-versions/{reviews}", f"dataset-versions/{completions}"):
        wait_until_ready(stack, path)
    return Shelf(bert, llama, reviews, completions)


def register(stack: Stack, folder: Path) -> int:
    answer = stack.api("post", "base-models", json={"folder": str(folder)})
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


def upload(stack: Stack, name: str, file_name: str, content: bytes) -> int:
    """The id of the new version, still in `checking`."""
    answer = stack.api("post", "datasets", data={"name": name}, files={"file": (file_name, content)})
    assert answer.status_code == 201, answer.text
    return int(answer.json()["version"]["id"])


def wait_until_ready(stack: Stack, path: str) -> None:
    """Until a base model or dataset version has passed its check."""

    def ready() -> bool:
        found = stack.api("get", path).json()
        assert found["state"] in ("checking", "ready"), found
        return bool(found["state"] == "ready")

    stack.wait_for(f"{path} ready", ready, 180)


def launch(stack: Stack, base_model: int, version: int, method: str = "lora", **rest: Any) -> int:
    body = {"base_model": base_model, "dataset_version": version, "method": method, **rest}
    answer = stack.api("post", "jobs", json=body)
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])
