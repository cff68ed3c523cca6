"""A checkpoint is listed only when the site has every event that came before it, so that no resume leaves a gap."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.workers.conftest import until
from workers.client import Claimed, SiteClient
from workers.handing_in import Checkpoints
from workers.protocol import MANIFEST, FileRef


@dataclass
class Events:
    """How far the events are; the test moves them on."""

    last_said: int = 0
    last_seq: int = 0
    lines: list[str] = field(default_factory=list)

    def say_line(self, text: str, level: str = "info") -> None:
        self.lines.append(text)

    def hurry(self) -> None:
        """The test decides when they go."""


class Listing(Claimed):
    """The calls of an attempt, written down."""

    def __init__(self) -> None:
        super().__init__(SiteClient("http://127.0.0.1:9"), "attempts", 1, "token")
        self.calls: list[str] = []

    def upload(self, file: FileRef, chunks: Iterator[bytes]) -> None:
        self.calls.append(f"file {file.name}")

    def post(self, verb: str, body: dict[str, Any] | str) -> dict[str, Any]:
        self.calls.append(verb)
        return {}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "step-00000005").mkdir()
    (tmp_path / "step-00000005" / MANIFEST).write_text("{}")
    return tmp_path


@pytest.mark.nemesis(12)
def test_it_waits_for_the_events_before_it_and_no_longer(folder: Path) -> None:
    attempt, events = Listing(), Events(last_said=7, last_seq=3)
    checkpoints = Checkpoints(attempt, folder, 0, 30, events)
    checkpoints.take({"step": 5, "folder": "step-00000005"})
    until(lambda: attempt.calls)
    events.last_said, events.last_seq = 9, 6
    checkpoints._thread.join(0.5)
    assert attempt.calls == [f"file {MANIFEST}"]
    events.last_seq = 7
    until(lambda: attempt.calls[-1] == "checkpoints")
    checkpoints.abandon()


@pytest.mark.nemesis(12)
def test_without_them_it_is_never_listed(folder: Path) -> None:
    attempt, events = Listing(), Events(last_said=7)
    checkpoints = Checkpoints(attempt, folder, 0, 30, events)
    checkpoints.take({"step": 5, "folder": "step-00000005"})
    until(lambda: attempt.calls)
    checkpoints.finish(0.3)
    assert attempt.calls == [f"file {MANIFEST}"]
    assert events.lines == []
