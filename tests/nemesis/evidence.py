"""All that is known after a run, as plain facts: what the checker judges, and nothing that judges."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.nemesis.journal import Entry


@dataclass(frozen=True)
class JobFacts:
    id: int
    state: str
    wish: str = "run"
    reason_code: str = ""
    total_steps: int = 0
    last_event: int = 0
    steps: tuple[int, ...] = ()
    """Of the points that count, as charts show them."""
    begins_after: int = 0
    """A retry goes on from the old job's checkpoint."""
    numbers: tuple[int, ...] = ()
    """Of all stored events, sorted."""
    retry_of: int | None = None


@dataclass(frozen=True)
class AttemptFacts:
    id: int
    job: int
    number: int
    worker: str = "w0"
    claim_id: str = ""
    state: str = "ended"
    outcome: str = ""
    reason_code: str = ""
    created_at: float = 0.0
    ended_at: float | None = None
    acked_seq: int = 0
    stored: int = 0
    """Events that the attempt said and the site keeps."""


@dataclass(frozen=True)
class Change:
    """One line of a job's history."""

    job: int
    before: str
    after: str
    actor: str = ""
    at: float = 0.0
    reason_code: str = ""


@dataclass(frozen=True)
class ArtifactFacts:
    id: int
    job: int
    files: tuple[dict[str, Any], ...]
    manifest: dict[str, Any]
    content: str = ""


@dataclass(frozen=True)
class Order:
    """The queue before and after a restart: job ids, best first; `touched` were moved by a person meanwhile."""

    what: str
    before: tuple[int, ...]
    after: tuple[int, ...]
    touched: frozenset[int] = frozenset()


@dataclass
class Evidence:
    journal: list[Entry] = field(default_factory=list)
    jobs: list[JobFacts] = field(default_factory=list)
    attempts: list[AttemptFacts] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    artifacts: list[ArtifactFacts] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    shown: dict[int, str] = field(default_factory=dict)
    """The state that the API gives for each job."""
    leftovers: list[str] = field(default_factory=list)
    """Processes of attempts that still live."""
    told: list[str] = field(default_factory=list)
    """Where a secret was found."""


def of_database(said: dict[str, Any]) -> Evidence:
    """What `collecting` printed."""
    jobs = [{**job, "steps": tuple(job["steps"]), "numbers": tuple(job["numbers"])} for job in said["jobs"]]
    artifacts = [{**each, "files": tuple(each["files"])} for each in said["artifacts"]]
    return Evidence(
        jobs=[JobFacts(**job) for job in jobs],
        attempts=[AttemptFacts(**attempt) for attempt in said["attempts"]],
        changes=[Change(**change) for change in said["changes"]],
        artifacts=[ArtifactFacts(**artifact) for artifact in artifacts],
        told=[f"database, {line}" for line in said["told"]],
    )
