"""Moving jobs within the queue, cancelling many, and finding them in the list."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import Api, api_of
from tests.jobs.queue import Queue, online, processor
from webapp.accounts.models import AuditEntry
from webapp.accounts.permissions import NotAllowed
from webapp.jobs import reordering
from webapp.jobs.models import Job
from webapp.jobs.outlook import queue_order
from webapp.jobs.refusing import LaunchRefused
from webapp.jobs.transitions import NotNow


@pytest.fixture
def three(queue: Queue) -> list[Job]:
    online("w", [processor()])
    return [queue.add(f"job {number}") for number in range(3)]


@pytest.fixture
def alice_api(queue: Queue) -> Api:
    return api_of(queue.cast.alice, queue.cast.team)


def names(pool: str = "default") -> str:
    return "".join(Job.objects.get(pk=pk).name[-1] for pk in queue_order(pool))


def test_up_and_down_trade_places(queue: Queue, three: list[Job]) -> None:
    alice = queue.cast.alice
    reordering.move_up(three[2], alice)
    assert names() == "021"
    reordering.move_down(three[0], alice)
    assert names() == "201"
    reordering.move_up(three[2], alice)
    assert names() == "201"
    reordering.move_down(three[1], alice)
    assert names() == "201"


def test_a_job_is_dropped_before_or_after_another(queue: Queue, three: list[Job]) -> None:
    reordering.move_before(three[2], three[0], queue.cast.alice)
    assert names() == "201"
    reordering.move_after(three[2], three[1], queue.cast.alice)
    assert names() == "012"


@pytest.mark.parametrize(("position", "order"), [(1, "201"), (2, "021"), (3, "012"), (99, "012")])
def test_a_job_is_put_at_a_place(queue: Queue, three: list[Job], position: int, order: str) -> None:
    reordering.move_to(three[2], queue.cast.alice, position)
    assert names() == order


def test_a_thousand_moves_into_one_gap_keep_everyone_elses_order(queue: Queue, three: list[Job]) -> None:
    """Floats run out after some fifty halvings; then the pool is numbered anew."""
    other = queue.add("o", team=queue.cast.other_team, created_by=queue.cast.charlie)
    running = queue.add("running", state="running", queue_position=0.5)
    for turn in range(120):
        reordering.move_before(three[2 - turn % 2], three[0], queue.cast.alice)
        reordering.move_before(three[0], three[1 + turn % 2], queue.cast.alice)
    rows = Job.objects.filter(state="queued").order_by("queue_position")
    positions = list(rows.values_list("queue_position", flat=True))
    assert len(set(positions)) == 4
    assert rows.last() == other
    running.refresh_from_db()
    assert running.queue_position < positions[0]


def test_equal_places_are_told_apart_before_a_move(queue: Queue) -> None:
    online("w", [processor()])
    jobs = [queue.add(f"job {number}", queue_position=1.0) for number in range(4)]
    reordering.move_before(jobs[3], jobs[1], queue.cast.alice)
    assert names() == "0312"


def test_a_job_that_comes_later_goes_to_the_end(queue: Queue, three: list[Job]) -> None:
    reordering.move_after(three[0], three[2], queue.cast.alice)
    queue.add("job 3")
    assert names() == "1203"


def test_a_move_is_written_into_the_audit_log(queue: Queue, three: list[Job]) -> None:
    reordering.move_before(three[2], three[0], queue.cast.alice)
    entry = AuditEntry.objects.get(action="job.move")
    assert (entry.actor, entry.target, entry.detail) == (
        queue.cast.alice,
        str(three[2].pk),
        {"before": three[0].pk},
    )


@pytest.mark.parametrize("who", ["bob", "vera", "charlie"])
def test_only_maintainers_of_the_team_move_jobs(queue: Queue, three: list[Job], who: str) -> None:
    user = getattr(queue.cast, who)
    with pytest.raises(NotAllowed):
        reordering.move_up(three[2], user)
    with pytest.raises(NotAllowed):
        reordering.move_down(three[0], user)
    with pytest.raises(NotAllowed):
        reordering.move_before(three[2], three[0], user)
    with pytest.raises(NotAllowed):
        reordering.set_priority(three[2], user, 0)
    assert names() == "012"


def test_a_job_that_has_started_is_not_moved(queue: Queue, three: list[Job]) -> None:
    Job.objects.filter(pk=three[2].pk).update(state="running")
    with pytest.raises(NotNow, match="running"):
        reordering.move_up(three[2], queue.cast.alice)


def test_a_place_beside_a_job_that_says_nothing_is_refused_in_words(queue: Queue, three: list[Job]) -> None:
    alice, first = queue.cast.alice, three[0]
    others = {
        "another team or pool": queue.add(team=queue.cast.other_team),
        "of another team": queue.add(pool="fast"),
        "priority goes before place": queue.add(priority=5),
        "not queued": queue.add(state="running"),
        "beside itself": first,
    }
    for words, other in others.items():
        with pytest.raises(LaunchRefused, match=words):
            reordering.move_before(first, other, alice)


def test_a_held_job_keeps_out_until_it_is_released(queue: Queue, three: list[Job], bob_api: Api) -> None:
    bob_api("post", f"jobs/{three[0].pk}/pause", {})
    assert names() == "12"
    bob_api("post", f"jobs/{three[0].pk}/resume", {})
    assert names() == "120"


# ---- The same over the API --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "order"),
    [
        ({"position": 1}, "201"),
        ({"before": 0}, "201"),
        ({"after": 0}, "021"),
        ({"priority": 7}, "201"),
        ({"priority": -7}, "012"),
    ],
)
def test_a_job_is_moved_over_the_api(alice_api: Api, three: list[Job], body: dict[str, int], order: str) -> None:
    sent = {name: three[value].pk if name in ("before", "after") else value for name, value in body.items()}
    answer = alice_api("patch", f"jobs/{three[2].pk}", sent)
    assert answer.status_code == 200, answer.content
    assert names() == order
    assert answer.json()["queue_position"] == order.index("2") + 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"position": 1, "before": 1}, 422),
        ({"position": 0}, 422),
        ({"priority": 101}, 422),
        ({"before": 999_999}, 404),
    ],
)
def test_a_move_that_cannot_be_read_is_refused(alice_api: Api, three: list[Job], body: Any, status: int) -> None:
    assert alice_api("patch", f"jobs/{three[2].pk}", body).status_code == status
    assert names() == "012"


def test_a_refused_place_takes_the_priority_back(queue: Queue, alice_api: Api, three: list[Job]) -> None:
    answer = alice_api("patch", f"jobs/{three[2].pk}", {"priority": 5, "before": three[0].pk})
    assert answer.status_code == 422
    assert answer.json()["problems"][0]["field"] == "before"
    assert Job.objects.get(pk=three[2].pk).priority == 0


def test_moving_over_the_api_follows_the_roles(queue: Queue, bob_api: Api, charlie_api: Api, three: list[Job]) -> None:
    path = f"jobs/{three[2].pk}"
    assert charlie_api("patch", path, {"position": 1}).status_code == 404
    assert api_of(queue.cast.vera, queue.cast.team)("patch", path, {"position": 1}).status_code == 403
    assert bob_api("patch", path, {"position": 1}).status_code == 403
    assert api_of(queue.cast.root, queue.cast.team)("patch", path, {"position": 1}).status_code == 200


def test_moving_says_conflict_once_the_job_has_started(alice_api: Api, three: list[Job]) -> None:
    Job.objects.filter(pk=three[2].pk).update(state="running")
    answer = alice_api("patch", f"jobs/{three[2].pk}", {"position": 1})
    assert answer.status_code == 409
    assert "running" in answer.json()["error"]["message"]


# ---- Many at one go ---------------------------------------------------------------------------------------


def test_cancelling_many_says_of_each_what_happened(queue: Queue, bob_api: Api, three: list[Job]) -> None:
    strangers = queue.add(team=queue.cast.other_team, created_by=queue.cast.charlie)
    Job.objects.filter(pk=three[1].pk).update(state="running")
    Job.objects.filter(pk=three[2].pk).update(state="succeeded")
    ids = [three[0].pk, three[1].pk, three[2].pk, strangers.pk, 999_999, three[0].pk]
    answer = bob_api("post", "jobs/cancel", {"ids": ids})
    assert answer.status_code == 200, answer.content
    items = answer.json()["items"]
    assert [(each["id"], each["outcome"], each["state"]) for each in items] == [
        (three[0].pk, "cancelled", "cancelled"),
        (three[1].pk, "stopping", "running"),
        (three[2].pk, "not_now", "succeeded"),
        (strangers.pk, "unknown", None),
        (999_999, "unknown", None),
    ]
    assert all(each["sentence"] for each in items)
    strangers.refresh_from_db()
    assert strangers.state == "queued"


def test_a_viewer_cancels_nothing(queue: Queue, three: list[Job]) -> None:
    vera = api_of(queue.cast.vera, queue.cast.team)
    items = vera("post", "jobs/cancel", {"ids": [job.pk for job in three]}).json()["items"]
    assert {each["outcome"] for each in items} == {"not_allowed"}
    assert names() == "012"


@pytest.mark.parametrize("ids", [[], list(range(1, 502)), ["x"], [0], None])
def test_at_most_five_hundred_ids_are_taken(bob_api: Api, ids: Any) -> None:
    assert bob_api("post", "jobs/cancel", {"ids": ids}).status_code == 422


# ---- Filters ----------------------------------------------------------------------------------------------


def listed(api: Api, query: str) -> set[str]:
    answer = api("get", f"jobs?{query}")
    assert answer.status_code == 200, answer.content
    return {item["name"] for item in answer.json()["items"]}


def test_jobs_are_found_by_state_team_person_method_and_pool(queue: Queue, bob_api: Api) -> None:
    queue.add("a", state="running")
    queue.add("b", state="failed", method="full")
    queue.add("c", created_by=queue.cast.alice, pool="fast")
    queue.add("secret", team=queue.cast.other_team)
    assert listed(bob_api, "") == {"a", "b", "c"}
    assert listed(bob_api, "state=running,failed") == {"a", "b"}
    assert listed(bob_api, "state=queued") == {"c"}
    assert listed(bob_api, "person=alice") == {"c"}
    assert listed(bob_api, "method=full&state=failed") == {"b"}
    assert listed(bob_api, "pool=fast") == {"c"}
    assert listed(bob_api, "team=weather&limit=2") == {"b", "c"}
    assert listed(bob_api, "team=other") == set()


@pytest.mark.parametrize(
    ("query", "field"), [("state=tired", "state"), ("spec__seed=1", "spec__seed"), ("team__name=Other", "team__name")]
)
def test_other_filters_are_refused_by_name(bob_api: Api, query: str, field: str) -> None:
    answer = bob_api("get", f"jobs?{query}")
    assert answer.status_code == 422
    problem = answer.json()["problems"][0]
    assert problem["field"] == field
    assert problem["hint"]
