"""What a page or program says of queued jobs: the place of each, who is ahead, why it waits, when it will start.

The same order as a claim's, worked out for the whole queue in a handful of queries; why_waiting.py finds the words and
forecast.py the times. Of other teams' jobs only their number is ever told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from webapp.accounts.models import User
from webapp.jobs import why_waiting
from webapp.jobs.fair_share import in_fair_order
from webapp.jobs.forecast import forecast
from webapp.jobs.models import Job, JobState
from webapp.jobs.queue_state import QueuedJob, QueueState, read_queue
from webapp.jobs.why_waiting import Why


@dataclass(frozen=True)
class Waiting:
    """Where one queued job stands."""

    job_id: int
    pool: str
    queue_position: int
    """Its place from 1 among the queued jobs of its pool."""
    ahead: int
    ahead_sentence: str
    """`3rd in pool default; 2 jobs of team Weather ahead.`"""
    code: str
    """Why it waits, for programs: one of why_waiting.CODES."""
    why: str
    """The same in a sentence, with what would help."""
    starts_in_seconds: float | None
    """About; None where it cannot be known."""
    fits_on: tuple[str, ...]
    """Names of the online workers that can run it, free or busy."""


@dataclass(frozen=True)
class Look:
    """One look at the whole queue; whoever asks for many places asks one of these."""

    queue: QueueState
    ordered: list[QueuedJob]
    """Everything that is queued, in the order in which it will start."""
    starts: dict[int, float | None]
    now: datetime

    def waiting(self, ids: Iterable[int], viewer: User | None = None) -> dict[int, Waiting]:
        """By id, for those that are queued. Without a viewer only each job's own team is named."""
        named = _named_teams(self.queue, viewer)
        return {each.job_id: each for each in _told(self, set(ids), named)}


def look(asked: QueuedJob | None = None) -> Look:
    """A fixed number of queries, however long the queue is; `asked` is a job that might be queued, too."""
    now = timezone.now()
    queue = read_queue(now, asked)
    ordered = _in_order(queue, now)
    return Look(queue, ordered, forecast(queue, ordered, now), now)


def waiting(job: Job, viewer: User | None = None) -> Waiting | None:
    """The outlook of one job; None unless it is queued."""
    return outlook([job], viewer).get(job.pk)


def outlook(jobs: Iterable[Job], viewer: User | None = None) -> dict[int, Waiting]:
    """By id, for those of the jobs that are queued; no query where none is."""
    asked = {job.pk for job in jobs if job.state == JobState.QUEUED}
    return look().waiting(asked, viewer) if asked else {}


def queue_order(pool: str) -> list[int]:
    """Ids of a pool's queued jobs in the order of the queue."""
    return [job.id for job in look().ordered if job.pool == pool]


def _in_order(queue: QueueState, now: datetime) -> list[QueuedJob]:
    """Jobs that wait for their turn first, then those that could not start even if it were theirs."""
    ready = [job for job in queue.jobs if not why_waiting.is_barred(queue, job, now)]
    taken = {job.id for job in ready}
    shares = queue.shares
    return [
        *in_fair_order(ready, shares),
        *in_fair_order((job for job in queue.jobs if job.id not in taken), shares),
    ]


def _named_teams(queue: QueueState, viewer: User | None) -> set[int] | None:
    """Teams whose name this person may read; None: the job's own only."""
    if viewer is None:
        return None
    return set(queue.team_names) if viewer.is_superuser else set(viewer.roles)


def _told(seen: Look, asked: set[int], named: set[int] | None) -> Iterable[Waiting]:
    before: dict[str, Counter[int]] = {}
    for job in seen.ordered:
        ahead = before.setdefault(job.pool, Counter())
        if job.id in asked:
            why = why_waiting.why(seen.queue, job, ahead.total() + 1, seen.now)
            yield _waiting(seen.queue, job, ahead, why, seen.starts.get(job.id), named or {job.team_id})
        ahead[job.team_id] += 1


def _waiting(
    queue: QueueState, job: QueuedJob, ahead: Counter[int], why: Why, starts: float | None, named: set[int]
) -> Waiting:
    return Waiting(
        job_id=job.id,
        pool=job.pool,
        queue_position=ahead.total() + 1,
        ahead=ahead.total(),
        ahead_sentence=_ahead_sentence(queue, job.pool, ahead, named),
        code=why.code,
        why=why.sentence,
        starts_in_seconds=starts,
        fits_on=tuple(sorted(worker.name for worker in queue.fitting(job))),
    )


def _ahead_sentence(queue: QueueState, pool: str, ahead: Counter[int], named: set[int]) -> str:
    place = f"{ordinal(ahead.total() + 1)} in pool {pool}"
    if not ahead.total():
        return f"{place}."
    parts = [(number, f"of team {queue.team_name(team)}") for team, number in ahead.most_common() if team in named]
    others = sum(number for team, number in ahead.items() if team not in named)
    if others:
        parts.append((others, "of other teams"))
    (first, whose), *rest = parts
    words = [f"{first} job{'s' if first > 1 else ''} {whose}", *(f"{number} {of}" for number, of in rest)]
    return f"{place}; {' and '.join(words)} ahead."


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th … 11th, 12th, 13th."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
