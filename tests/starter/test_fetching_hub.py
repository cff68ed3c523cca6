"""Base models fetched from a hub on loopback, and every way in which a hub says no."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.starter.servers import COMMIT, hub_pages, refusing_hub, served
from workers.fetching import FetchProblem, fetch

FILES = {
    "config.json": b"{}",
    "tokenizer.json": b"{}",
    "model.safetensors": b"x" * 1000,
    "consolidated.safetensors": b"the same weights once more",
    "pytorch_model.bin": b"a pickle",
    "modeling_tiny.py": b"code",
    "onnx/model.safetensors": b"elsewhere",
    "README.md": b"words",
}


@pytest.fixture(autouse=True)
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hubs here are on loopback."""
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)


def fetched(into: Path, **more: Any) -> list[str]:
    told: list[str] = []
    question = {"kind": "hub_base_model", "hub_id": "weather/tiny", "revision": "v1", **more}
    fetch(question, into, lambda text, fraction: told.append(text))
    return told


def problem(into: Path) -> FetchProblem:
    with pytest.raises(FetchProblem) as caught:
        fetched(into)
    assert caught.value.message
    assert caught.value.hint
    return caught.value


def test_only_configuration_tokenizer_and_whole_weights_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(hub_pages(FILES)) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        told = fetched(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "config.json",
        "tokenizer.json",
        "model.safetensors",
        "revision.txt",
        "licence.txt",
    }
    assert (tmp_path / "revision.txt").read_text() == COMMIT
    assert (tmp_path / "licence.txt").read_text() == "mit"
    assert told[0] == "Looking for weather/tiny on the hub"


def test_only_the_token_of_the_question_is_sent_and_none_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_machine")
    for token in (None, "hf_of_the_question"):
        seen: list[Any] = []
        into = tmp_path / str(token)
        with served(hub_pages(FILES), seen) as address:
            monkeypatch.setenv("HF_ENDPOINT", address)
            fetched(into, token=token)
        sent = {headers.get("authorization") for _, headers in seen}
        assert sent == ({None} if token is None else {f"Bearer {token}"})
        assert not any(b"hf_of" in path.read_bytes() for path in into.rglob("*") if path.is_file())


def test_a_hub_with_pickles_only_gives_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(hub_pages({"config.json": b"{}", "pytorch_model.bin": b"x"})) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        assert problem(tmp_path).code == "basemodel.pickle_weights"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (404, "RevisionNotFound", "basemodel.hub_revision"),
        (404, "RepoNotFound", "basemodel.hub_unknown"),
        (403, "GatedRepo", "basemodel.hub_gated"),
        (503, "", "basemodel.hub_unreachable"),
    ],
)
def test_each_refusal_has_its_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, error: str, code: str
) -> None:
    with served(refusing_hub(status, error)) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        assert problem(tmp_path).code == code


def test_without_network_the_answer_comes_within_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    started = time.monotonic()
    refused = problem(tmp_path)
    assert time.monotonic() - started < 20
    assert refused.code == "basemodel.hub_unreachable"
    assert "cannot reach the hub" in refused.message
    assert "starter catalogue" in refused.hint


def test_a_hub_that_breaks_off_is_told_apart_from_a_full_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = hub_pages(FILES)
    del pages[f"/weather/tiny/resolve/{COMMIT}/model.safetensors"]
    with served(pages) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        assert problem(tmp_path).code == "basemodel.hub_unreachable"


def test_what_tell_raises_ends_the_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Cancelled(Exception):
        pass

    def tell(text: str, fraction: float | None) -> None:
        if text.startswith("Downloading"):
            raise Cancelled

    with served(hub_pages(FILES)) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        with pytest.raises(Cancelled):
            fetch({"kind": "hub_base_model", "hub_id": "weather/tiny", "revision": "v1"}, tmp_path, tell)
