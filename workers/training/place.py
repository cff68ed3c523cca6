"""Which of a training's processes this one is, as its starter says in the environment. Needs no torch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "DELTABOARD_PLACE"
"""`rank/size/failure descriptor/rendezvous file`; absent in a training of one process."""


@dataclass(frozen=True)
class Place:
    """One of `size` processes that train one job together; the first speaks, scores and saves for all."""

    rank: int = 0
    size: int = 1
    failure_fd: int = -1
    """Takes this process's `failed` line: several may fail at once, and the starter picks the one that is the cause."""
    rendezvous: Path = Path()
    """A file through which they find each other: no port that somebody else could take first."""

    def as_text(self) -> str:
        return f"{self.rank}/{self.size}/{self.failure_fd}/{self.rendezvous}"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Place:
        text = environment.get(VARIABLE)
        if text is None:
            return cls()
        rank, size, failure_fd, rendezvous = text.split("/", 3)
        return cls(int(rank), int(size), int(failure_fd), Path(rendezvous))
