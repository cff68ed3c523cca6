"""The order of the queue: priority, then fair shares of teams and people, then place."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import timedelta

from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from tests.jobs.queue import Queue, online, processor
from webapp.jobs.fair_share import Shares, in_fair_order, shares_now
from webapp.jobs.models import Job, Worker
from webapp.jobs.outlook import queue_order


def wide() -> Worker:
    """A worker that can hold as many jobs as a test likes."""
    return online("wide", [processor()], slots=50)


def test_the_higher_priority_goes_first_whatever_the_shares(queue: Queue) -> None:
    for name, priority in (("low", -5), ("usual", 0), ("urgent", 7)):
        queue.add(name, priority=priority)
    assert queue.names(wide(), 3) == ["urgent", "usual", "low"]


def test_two_teams_take_turns_although_one_queued_all_its_jobs_first(queue: Queue) -> None:
    for number in range(3):
        queue.add(f"weather {number}")
    for number in range(2):
        queue.add(f"other {number}", team=queue.cast.other_team, created_by=queue.cast.charlie)
    taken = queue.names(wide(), 5)
    assert taken == ["weather 0", "other 0", "weather 1", "other 1", "weather 2"]


def test_people_of_one_team_take_turns(queue: Queue) -> None:
    for number in range(3):
        queue.add(f"bob {number}")
    queue.add("alice 0", created_by=queue.cast.alice)
    assert queue.names(wide(), 4) == ["bob 0", "alice 0", "bob 1", "bob 2"]


def test_a_job_for_several_gpus_weighs_as_many_slots(queue: Queue) -> None:
    worker = wide()
    queue.add("weather on three", gpus=3)
    queue.start(worker, [processor()] * 3)
    for name, person, team in (
        ("weather", queue.cast.bob, queue.cast.team),
        ("other 0", queue.cast.charlie, queue.cast.other_team),
        ("other 1", queue.cast.charlie, queue.cast.other_team),
        ("other 2", queue.cast.charlie, queue.cast.other_team),
    ):
        queue.add(name, created_by=person, team=team)
    assert queue.names(worker, 3) == ["other 0", "other 1", "other 2"]


def test_on_a_tie_the_team_that_used_fewer_slot_hours_lately_goes_first(queue: Queue) -> None:
    queue.finished(600, ago=timedelta(hours=2))
    queue.add("weather")
    queue.add("other", team=queue.cast.other_team, created_by=queue.cast.charlie)
    assert queue.names(wide(), 2) == ["other", "weather"]


def test_what_was_used_more_than_a_day_ago_counts_no_more(queue: Queue) -> None:
    queue.finished(600, ago=timedelta(hours=26))
    queue.add("weather")
    queue.add("other", team=queue.cast.other_team, created_by=queue.cast.charlie)
    assert queue.names(wide(), 2) == ["weather", "other"]


def test_slot_hours_are_weighed_by_gpus(queue: Queue) -> None:
    queue.finished(600, ago=timedelta(hours=3), gpus=2)
    shares = shares_now()
    assert shares.team_seconds[queue.cast.team.pk] == 1200
    assert shares.person_seconds[queue.cast.team.pk, queue.cast.bob.pk] == 1200


def test_used_slot_hours_hold_still_within_the_hour(queue: Queue) -> None:
    queue.finished(5400, ago=timedelta(minutes=90))
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    assert shares_now(hour) == shares_now(hour + timedelta(minutes=59, seconds=59))


def test_what_a_team_trains_on_its_own_workers_does_not_count_against_it(queue: Queue) -> None:
    own = online("own", [processor()], team=queue.cast.team)
    queue.add("at home")
    queue.start(own)
    queue.add("weather")
    queue.add("other", team=queue.cast.other_team, created_by=queue.cast.charlie)
    assert queue.names(wide(), 2) == ["weather", "other"]


def test_the_order_on_a_page_is_the_order_of_the_claims(queue: Queue) -> None:
    worker = wide()
    ann = queue.person("ann", queue.cast.other_team)
    queue.finished(900, ago=timedelta(hours=2), created_by=ann, team=queue.cast.other_team)
    people = [(queue.cast.team, queue.cast.bob), (queue.cast.team, queue.cast.alice)]
    people += [(queue.cast.other_team, queue.cast.charlie), (queue.cast.other_team, ann)]
    for number in range(24):
        team, person = people[number * 7 % 4]
        queue.add(str(number), team=team, created_by=person, priority=number % 2, gpus=1)
    said = [str(Job.objects.get(pk=pk).name) for pk in queue_order("default")]
    assert queue.names(worker, 24) == said


@dataclass(frozen=True)
class Row:
    """A queued job as the order sees it."""

    id: int
    team_id: int
    created_by_id: int | None
    priority: int
    queue_position: float
    gpus: int


people = st.sampled_from([None, 1, 2, 3])
rows = st.lists(
    st.builds(Row, st.just(0), st.integers(1, 4), people, st.integers(-1, 1), st.integers(0, 5), st.integers(1, 4)),
    max_size=40,
).map(lambda found: [replace(row, id=number) for number, row in enumerate(found, start=1)])
loads = st.lists(st.tuples(st.integers(1, 4), people, st.integers(1, 4)), max_size=6)


def loaded(load: list[tuple[int, int | None, int]]) -> Shares:
    shares = Shares()
    for team, person, slots in load:
        shares.take(team, person, slots)
    return shares


@given(rows, loads, st.randoms())
def test_the_order_is_total_and_stable(
    queued: list[Row], load: list[tuple[int, int | None, int]], dice: object
) -> None:
    shuffled = list(queued)
    dice.shuffle(shuffled)  # type: ignore[attr-defined]
    ordered = in_fair_order(queued, loaded(load))
    assert in_fair_order(shuffled, loaded(load)) == ordered
    assert sorted(row.id for row in ordered) == [row.id for row in queued]
    assert [row.priority for row in ordered] == sorted((row.priority for row in queued), reverse=True)


@given(rows, loads)
def test_nobody_goes_first_who_has_more_at_work_than_another_team_that_waits(
    queued: list[Row], load: list[tuple[int, int | None, int]]
) -> None:
    shares, left = loaded(load), list(queued)
    for row in in_fair_order(queued, loaded(load)):
        rivals = [each for each in left if each.priority == row.priority]
        assert shares.team_slots[row.team_id] == min(shares.team_slots[each.team_id] for each in rivals)
        shares.take(row.team_id, row.created_by_id, row.gpus)
        left.remove(row)


@given(rows)
def test_no_team_that_waits_is_passed_over_twice_for_the_same_other_one(queued: list[Row]) -> None:
    """Of jobs for one GPU at one priority, from an idle start: counts never differ by more than one."""
    alike = [replace(row, gpus=1, priority=0) for row in queued]
    waiting, had = Counter(row.team_id for row in alike), Counter[int]()
    for row in in_fair_order(alike, Shares()):
        had[row.team_id] += 1
        waiting[row.team_id] -= 1
        behind = [had[team] for team, left in waiting.items() if left]
        assert had[row.team_id] - min(behind, default=had[row.team_id]) <= 1


@given(rows)
def test_a_persons_jobs_of_one_priority_keep_their_places(queued: list[Row]) -> None:
    ordered = in_fair_order(queued, Shares())
    for key in {(row.team_id, row.created_by_id, row.priority) for row in queued}:
        own = [row for row in ordered if (row.team_id, row.created_by_id, row.priority) == key]
        assert own == sorted(own, key=lambda row: (row.queue_position, row.id))
