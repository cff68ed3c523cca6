"""A worker's station against the plain reference site, and a line to no site at all."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from tests.workers.reference_site import TIMINGS, ReferenceSite, serving
from workers.cache import Cache
from workers.client import Enrolment, SiteClient
from workers.enrolling import Home
from workers.isolation import Isolation, here
from workers.protocol import JobFolder, Wish
from workers.station import Station
from workers.tree import Command, Launch

TOY = Path(__file__).with_name("toy_trainer.py")


def until(condition: Callable[[], Any], seconds: float = 10) -> Any:
    """Poll until something holds; its value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return value


class Notebook:
    """A `supervisor.Line` that writes down what is said."""

    def __init__(self) -> None:
        self.wish: Wish = "run"
        self.stale = Event()
        self.silent_seconds = 0.0
        self.events: list[dict[str, Any]] = []

    def say(self, event: dict[str, Any]) -> None:
        self.events.append(event)

    def say_line(self, text: str, level: str = "info") -> None:
        self.say({"kind": "log", "level": level, "text": text})

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["kind"] == kind]


@pytest.fixture
def notebook() -> Notebook:
    return Notebook()


@pytest.fixture(params=["walls", "bare"])
def isolation(request: pytest.FixtureRequest) -> Isolation:
    """Every layer this host has, and none at all as on macOS."""
    if request.param == "walls" and not here().process_namespace:
        pytest.skip("this host has no process namespaces")
    return here() if request.param == "walls" else Isolation()


@pytest.fixture
def launch(tmp_path: Path) -> Callable[[str], Launch]:
    folder = JobFolder(tmp_path)
    folder.scratch.mkdir(parents=True)
    return lambda mode: toy_launch(mode, folder)


def toy_launch(mode: str, folder: JobFolder) -> Launch:
    command = toy_command(mode)(folder.path)
    return Launch(command, folder.scratch, str(folder.path), lifeline_seconds=3, writable=folder.made)


def toy_command(mode: str, *numbers: str) -> Command:
    return lambda folder: (sys.executable, str(TOY), mode, str(folder), *numbers)


@pytest.fixture
def site() -> ReferenceSite:
    return ReferenceSite()


@pytest.fixture
def station(site: ReferenceSite, tmp_path: Path) -> Iterator[Station]:
    home = Home(tmp_path / "workers" / "w")
    home.jobs.mkdir(parents=True)
    worker = Enrolment("delta_w_1", 1, "w", "default", None)
    with serving(site) as address:
        client = SiteClient(address, worker.token)
        yield Station(client, home, worker, 1, 1, here(), TIMINGS, Cache(home.cache))
        client.close()
