"""A machine with secrets for a hostile trainer to go after, and what its tries come to."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.workers.conftest import Notebook, toy_launch
from tests.workers.reference_site import TIMINGS
from workers.ending import Exit
from workers.isolation import Isolation, here
from workers.limits import Limits
from workers.orders import Orders
from workers.protocol import JobFolder
from workers.supervisor import supervise
from workers.tree import Launch

HOSTILE = Path(__file__).with_name("hostile_trainer.py")
SECRET = b"secret"
MEBIBYTE = 1024 * 1024
LIMITS = Limits(memory_bytes=300 * MEBIBYTE, file_bytes=8 * MEBIBYTE, processes=64, open_files=256)
LOCKED_CONTAINER = Isolation(
    death_signal=here().death_signal,
    no_capabilities=here().no_capabilities,
    file_rules=here().file_rules,
    signal_rules=here().signal_rules,
    size_limits=here().size_limits,
)
"""What is left where no namespaces may be made."""


def need(isolation: Isolation, *layers: str) -> None:
    """Skip, by name, where this host has none of the layers that stop a try."""
    if not any(getattr(isolation, layer) for layer in layers):
        pytest.skip(f"missing here: {' and '.join(layers)}")


@dataclass
class Machine:
    """A worker's home with two jobs, and what else lies on the machine."""

    root: Path
    line: Notebook
    before: dict[Path, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.job = JobFolder(self.root / "home/jobs/1")
        self.job.scratch.mkdir(parents=True)
        self.job.base_model.mkdir()
        cache = self.root / "home/cache"
        cache.mkdir()
        self.token, self.database = self.root / "home/token", self.root / "db.sqlite3"
        self.other_job = self.root / "home/jobs/2/rows.jsonl"
        self.other_job.parent.mkdir()
        self.cached = cache / "sha256"
        for path in (self.token, self.database, self.other_job, self.cached):
            path.write_bytes(SECRET)
            self.before[path] = SECRET
        self.cached.chmod(0o444)
        os.link(self.cached, self.job.dataset)
        (self.root / "home").chmod(0o700)

    @property
    def secrets(self) -> list[str]:
        return [str(path) for path in self.before]

    def launch(self, tries: str, facts: dict[str, Any]) -> Launch:
        plain = toy_launch("good", self.job)
        command = (sys.executable, str(HOSTILE), tries, str(self.job.path), json.dumps(facts))
        return dataclasses.replace(plain, command=command)

    def run(self, tries: str, walls: Isolation, **facts: Any) -> Exit:
        return supervise(self.launch(tries, facts), self.line, TIMINGS, walls, Orders())

    def outcomes(self, *tries: str, walls: Isolation, **facts: Any) -> dict[tuple[str, str], str | None]:
        """Why each try was refused, by its name and path; None for one that got what it wanted."""
        exit = self.run(",".join(tries), walls, **facts)
        texts = [str(event["text"]) for event in self.line.of("log")]
        assert exit.returncode == 0, texts
        said = [json.loads(text) for text in texts if text.startswith("{")]
        assert len(said) == len(tries) * len(facts.get("paths", [None]))
        return {(each["attempt"], each["path"]): each["refused"] for each in said}

    def refused(self, *tries: str, walls: Isolation, **facts: Any) -> str:
        """Every try was refused, and nothing on the machine has changed; the last reason."""
        outcomes = self.outcomes(*tries, walls=walls, **facts)
        assert [each for each, reason in outcomes.items() if reason is None] == []
        for path, content in self.before.items():
            assert path.read_bytes() == content, path
        assert not list(self.root.rglob("new"))
        return str(list(outcomes.values())[-1])
