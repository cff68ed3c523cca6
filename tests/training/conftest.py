"""The cast of the training tests: toy base models, made once, and a training that runs inside the test process."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState

from tests.training import toys
from workers.protocol import JobFolder
from workers.training.attempt import Attempt
from workers.training.events import Events

torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toys.encoder_folder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="session")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toys.decoder_folder(tmp_path_factory.mktemp("decoder"))


@pytest.fixture(scope="session")
def encoder_without_chance(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same encoder without dropout: what differs then is arithmetic alone."""
    folder = tmp_path_factory.mktemp("plain") / "encoder"
    shutil.copytree(encoder, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "hidden_dropout_prob": 0.0}))
    return folder


class ListedEvents(Events):
    """Real events into a file, readable afterwards."""

    def __init__(self, path: Path) -> None:
        self._path = path
        super().__init__(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC))

    def said(self) -> list[dict[str, Any]]:
        self.close()
        return [json.loads(line) for line in self._path.read_text().splitlines()]


@dataclass
class Run:
    """What one attempt said, and how it ended."""

    events: list[dict[str, Any]]
    error: Exception | None = None
    code: int | None = None
    """Of a training in a process of its own."""

    @classmethod
    def from_pipe(cls, descriptor: int) -> Run:
        """All that comes until the writer's end; a line cut short by its death is none."""
        with os.fdopen(descriptor, "rb") as pipe:
            return cls([json.loads(line) for line in pipe.read().splitlines() if line.endswith(b"}")])

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["kind"] == kind]

    def series(self, name: str) -> dict[int, float]:
        return {event["step"]: event["values"][name] for event in self.of("metrics") if name in event["values"]}

    @property
    def result(self) -> dict[str, Any]:
        return self.of("result")[0]

    @property
    def log(self) -> str:
        return "\n".join(event["text"] for event in self.of("log"))


class StopAt(threading.Event):
    """Set as soon as it was asked so often: a SIGTERM at a known moment."""

    def __init__(self, asked: int) -> None:
        super().__init__()
        self._left = asked

    def is_set(self) -> bool:
        self._left -= 1
        return self._left < 0


@dataclass
class Trainer:
    """Runs attempts at job folders in this process."""

    folder: Path
    kind: type[Attempt] = Attempt
    runs: list[Run] = field(default_factory=list)
    attempt: Attempt | None = None

    def __call__(self, job: JobFolder, stop: threading.Event | None = None) -> Run:
        events = ListedEvents(self.folder / f"events-{len(self.runs)}.jsonl")
        error = None
        # One process trains once; here many trainings share one, and accelerate remembers the first one's precision.
        AcceleratorState._reset_state(reset_partial_state=True)
        try:
            self.attempt = self.kind(job, events, stop or threading.Event())
            self.attempt.run()
        except Exception as raised:
            error = raised
        self.runs.append(Run(events.said(), error))
        return self.runs[-1]


class StopAfter(threading.Event):
    """Set once the attempt has made this step, however often it asks on its way."""

    def __init__(self, trainer: Trainer, step: int) -> None:
        super().__init__()
        self._trainer, self._step = trainer, step

    def is_set(self) -> bool:
        attempt = self._trainer.attempt
        return attempt is not None and attempt.numbers.get("step", 0) >= self._step


@pytest.fixture
def train(tmp_path: Path) -> Trainer:
    return Trainer(tmp_path)


MakeJob = Callable[..., JobFolder]


@pytest.fixture
def classify(tmp_path: Path, encoder: Path) -> MakeJob:
    """A short classification job on the toy encoder."""

    def make(name: str = "job", rows: int = 160, **given: Any) -> JobFolder:
        return toys.job(tmp_path / name, encoder, toys.opinions(rows), **{"max_steps": 12, **given})

    return make


@pytest.fixture
def complete_text(tmp_path: Path, decoder: Path) -> MakeJob:
    """A short causal-LM job on the toy decoder."""

    def make(name: str = "job", rows: int = 48, **given: Any) -> JobFolder:
        return toys.job(tmp_path / name, decoder, toys.sums(rows), **{"max_steps": 12, **given})

    return make
