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

from webapp.jobs.fitting import live_reservations
from webapp.jobs.models import AT_WORK, Attempt, Job

FAIR_SHARE = (
    "A job of higher priority goes first. At the same priority, the team with the fewest slots at work goes first; on "
    "a tie, the one that used fewer slot hours in the 24 hours before the last full hour. The same two questions then "
    "decide between the people of a team, and after that the place in the queue. A slot is one GPU or one CPU slot; "
    "slots kept free for a job count as at work, at most one worker is kept free for a team at a time; "
    "checks of base models do not count, nor does what a team trains on workers of its own count against it."
)
"""The rule in one paragraph, for pages and docs."""

WINDOW = timedelta(hours=24)
Share = tuple[int, float]
"""Slots at work now, slot seconds used lately."""


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
Group = tuple[int, int, int | None]
"""Priority, team, person: jobs between which only the place in the queue decides."""


@dataclass
class Shares:
    """What each team and person has at work now and has used lately. Smaller goes first."""

    team_slots: Counter[int] = field(default_factory=Counter)
    person_slots: Counter[Person] = field(default_factory=Counter)
    team_seconds: Counter[int] = field(default_factory=Counter)
    person_seconds: Counter[Person] = field(default_factory=Counter)

    def of_team(self, team_id: int) -> Share:
        return self.team_slots[team_id], self.team_seconds[team_id]

    def of_person(self, team_id: int, person_id: int | None) -> Share:
        return self.person_slots[team_id, person_id], self.person_seconds[team_id, person_id]

    def take(self, team_id: int, person_id: int | None, slots: int, *, shared: bool = True) -> None:
        """Count slots as at work; those of a team's own workers count between its people only."""
        self.team_slots[team_id] += slots if shared else 0
        self.person_slots[team_id, person_id] += slots


def shares_now(now: datetime | None = None) -> Shares:
    """Aggregate queries over what is at work, what is kept free, and what was at work in the last 24 hours."""
    shares = Shares()
    at_work = Job.objects.filter(state__in=AT_WORK).values_list(
        "team_id", "created_by_id", "current_attempt__worker__team_id"
    )
    for team, person, owner, slots in at_work.order_by().annotate(slots=Sum("gpus")):
        shares.take(team, person, slots, shared=owner is None)
    kept = live_reservations().values_list("team_id", "created_by_id", "reserved_on__team_id")
    for team, person, owner, slots in kept.order_by().annotate(slots=Sum("gpus")):
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


def turns(groups: Iterable[Group], shares: Shares) -> list[list[Group]]:
    """Groups of jobs by turn; those of one turn are tied, and the place in the queue decides between their jobs.

    One turn holds, for each team of a priority whose shares are even, the people of it whose shares are.
    """
    by_team: dict[tuple[int, int], list[Group]] = {}
    for group in groups:
        by_team.setdefault((-group[0], group[1]), []).append(group)
    by_turn: dict[tuple[int, Share, int], list[Group]] = {}
    for (priority, team), members in by_team.items():
        of_people = sorted({shares.of_person(team, group[2]) for group in members})
        for group in members:
            rank = of_people.index(shares.of_person(team, group[2]))
            by_turn.setdefault((priority, shares.of_team(team), rank), []).append(group)
    return [by_turn[turn] for turn in sorted(by_turn)]


def in_fair_order(entries: Iterable[E], shares: Shares) -> list[E]:
    """Queued jobs in the order in which they would start if all that start went on; `shares` counts them in."""
    lines: dict[tuple[int, int], dict[int | None, list[E]]] = {}
    for entry in sorted(entries, key=lambda each: (each.queue_position, each.id), reverse=True):
        people = lines.setdefault((-entry.priority, entry.team_id), {})
        people.setdefault(entry.created_by_id, []).append(entry)

    def first_of(team: int, people: dict[int | None, list[E]]) -> tuple[Share, float, int, int | None]:
        """The person of the team whose turn it is, behind what decides it."""
        tops = ((person, queued[-1]) for person, queued in people.items() if queued)
        return min(
            ((shares.of_person(team, person), top.queue_position, top.id, person) for person, top in tops),
            key=lambda each: each[:3],
        )

    def key(line: tuple[int, int]) -> tuple[int, Share, float, int, int]:
        priority, team = line
        _, position, job_id, _ = first_of(team, lines[line])
        return priority, shares.of_team(team), position, job_id, team

    heap = [key(line) for line in lines]
    heapq.heapify(heap)
    ordered: list[E] = []
    while heap:
        old = heapq.heappop(heap)
        line = (old[0], old[-1])
        if key(line) != old:  # its team has more at work than when it was filed; shares only ever grow here
            heapq.heappush(heap, key(line))
            continue
        entry = lines[line][first_of(line[1], lines[line])[-1]].pop()
        ordered.append(entry)
        shares.take(entry.team_id, entry.created_by_id, entry.gpus)
        if any(lines[line].values()):
            heapq.heappush(heap, key(line))
    return ordered
