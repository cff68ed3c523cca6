"""In which order queued jobs go: priority, then fair shares, then their place in the queue.

Everything is read from the database, so the order is the same in every process and after any restart. Whether a job
may run, and where, is for others to say.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from django.db.models import DateTimeField, DurationField, ExpressionWrapper, F, Q, Sum, Value
from django.db.models.functions import Coalesce, Greatest, Least
from django.utils import timezone

from webapp.jobs.models import AT_WORK, Attempt, Job

FAIR_SHARE = (
    "A job of higher priority goes first. At the same priority, the team with the fewest slots at work goes first; on "
    "a tie, the one that used fewer slot hours in the 24 hours before the last full hour. The same two questions then "
    "decide between the people of a team, and after that the place in the queue. A slot is one GPU or one CPU slot; "
    "checks of base models do not count, nor does what a team trains on workers of its own count against it."
)
"""The rule in one paragraph, for pages and docs."""

WINDOW = timedelta(hours=24)
Share = tuple[int, float, int, float]


class Entry(Protocol):
    """What the order needs to know of a queued job."""

    @property
    def id(self) -> int: ...
    @property
    def team_id(self) -> int: ...
    @property
    def created_by_id(self) -> int | None: ...
    @property
    def priority(self) -> int: ...
    @property
    def queue_position(self) -> float: ...
    @property
    def gpus(self) -> int: ...


E = TypeVar("E", bound=Entry)
Person = tuple[int, int | None]
"""A person within one team; None stands for those who have left."""


@dataclass
class Shares:
    """What each team and person has at work now and has used lately. Smaller goes first."""

    team_slots: Counter[int] = field(default_factory=Counter)
    person_slots: Counter[Person] = field(default_factory=Counter)
    team_seconds: Counter[int] = field(default_factory=Counter)
    person_seconds: Counter[Person] = field(default_factory=Counter)

    def of(self, team_id: int, person_id: int | None) -> Share:
        person = (team_id, person_id)
        return (
            self.team_slots[team_id],
            self.team_seconds[team_id],
            self.person_slots[person],
            self.person_seconds[person],
        )

    def take(self, team_id: int, person_id: int | None, slots: int, *, shared: bool = True) -> None:
        """Count slots as at work; those of a team's own workers count between its people only."""
        self.team_slots[team_id] += slots if shared else 0
        self.person_slots[team_id, person_id] += slots


def shares_now(now: datetime | None = None) -> Shares:
    """Two aggregate queries over what is at work and what was in the last 24 hours."""
    shares = Shares()
    at_work = Job.objects.filter(state__in=AT_WORK).values_list(
        "team_id", "created_by_id", "current_attempt__worker__team_id"
    )
    for team, person, owner, slots in at_work.order_by().annotate(slots=Sum("gpus")):
        shares.take(team, person, slots, shared=owner is None)
    add_used(shares, now or timezone.now())
    return shares


def add_used(shares: Shares, now: datetime) -> None:
    """Slot seconds up to the last full hour: a figure that holds still within the hour, so the order does, too."""
    until = now.replace(minute=0, second=0, microsecond=0)
    since = until - WINDOW
    rows = Attempt.objects.filter(Q(ended_at=None) | Q(ended_at__gt=since), created_at__lt=until).order_by()
    groups = rows.values_list("job__team_id", "job__created_by_id", "worker__team_id", "job__gpus")
    for team, person, owner, gpus, elapsed in groups.annotate(elapsed=Sum(elapsed_within(since, until))):
        seconds = elapsed.total_seconds() * gpus
        shares.team_seconds[team] += seconds if owner is None else 0
        shares.person_seconds[team, person] += seconds


def elapsed_within(since: datetime, until: datetime) -> ExpressionWrapper[Any]:
    """How much of an attempt lies between two moments; one that has not ended lasts until the later one."""
    begin, end = Value(since, DateTimeField()), Value(until, DateTimeField())
    left = Least(Coalesce(F("ended_at"), end), end)
    return ExpressionWrapper(left - Greatest(F("created_at"), begin), output_field=DurationField())


def in_fair_order(entries: Iterable[E], shares: Shares) -> list[E]:
    """Queued jobs in the order in which they would start if all that start went on; `shares` counts them in."""
    by_group: dict[tuple[int, int, int | None], list[E]] = {}
    for entry in sorted(entries, key=lambda each: (each.queue_position, each.id), reverse=True):
        by_group.setdefault((-entry.priority, entry.team_id, entry.created_by_id), []).append(entry)

    def key(group: tuple[int, int, int | None]) -> tuple[int, Share, float, int]:
        first = by_group[group][-1]
        return (group[0], shares.of(*group[1:]), first.queue_position, first.id)

    heap = [(key(group), group[1:]) for group in by_group]
    heapq.heapify(heap)
    ordered: list[E] = []
    while heap:
        old, person = heapq.heappop(heap)
        group = (old[0], *person)
        current = key(group)
        if current != old:  # its team has more at work than when it was filed; shares only ever grow here
            heapq.heappush(heap, (current, person))
            continue
        entry = by_group[group].pop()
        ordered.append(entry)
        shares.take(entry.team_id, entry.created_by_id, entry.gpus)
        if by_group[group]:
            heapq.heappush(heap, (key(group), person))
    return ordered
