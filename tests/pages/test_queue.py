"""The queue page: order and reasons, filters, choosing, moving, and a cost that does not grow with the queue."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from tests.conftest import Cast, claim_next, make_job
from tests.pages.test_access import browser_of
from webapp.accounts.models import Membership, Role
from webapp.basemodels.models import BaseModel
from webapp.datasets.models import DatasetVersion
from webapp.jobs.models import Job, Worker


@pytest.fixture
def online(worker: Worker) -> Worker:
    worker.last_hello_at = timezone.now()
    worker.report = {"slots": 1, "busy_slots": 1, "devices": []}
    worker.save()
    return worker


@pytest.fixture
def three(cast: Cast, base_model: BaseModel, version: DatasetVersion) -> list[Job]:
    """Bob's jobs A, B and C, queued in this order."""
    return [make_job(cast, base_model, version, name=f"job {name}", queue_position=n) for n, name in enumerate("ABC")]


def names_in_order(page: str) -> list[str]:
    places = sorted((page.index(f">job {name}<"), name) for name in "ABC")
    return [name for _, name in places]


def home(who: Any, **query: str) -> str:
    return str(browser_of(who).get("/", query).content.decode())


def test_waiting_jobs_stand_in_their_order_with_place_and_reason(cast: Cast, online: Worker, three: list[Job]) -> None:
    page = home(cast.bob)
    assert names_in_order(page) == ["A", "B", "C"]
    assert "3rd in pool default; 2 jobs of team Weather ahead." in page
    assert "Next in line" in page


def test_without_a_worker_the_page_says_so(cast: Cast, three: list[Job]) -> None:
    assert "No worker of pool default is online" in home(cast.bob)


def test_a_maintainer_moves_a_job_up_and_sees_it_there(cast: Cast, online: Worker, three: list[Job]) -> None:
    answer = browser_of(cast.alice).post(f"/jobs/{three[2].pk}/move/", {"to": "up"}, follow=True)
    assert names_in_order(answer.content.decode()) == ["A", "C", "B"]


def test_dragging_puts_a_job_before_another(cast: Cast, online: Worker, three: list[Job]) -> None:
    answer = browser_of(cast.alice).post(f"/jobs/{three[2].pk}/move/", {"before": str(three[0].pk)}, follow=True)
    assert names_in_order(answer.content.decode()) == ["C", "A", "B"]


def test_dragging_puts_a_job_behind_the_last(cast: Cast, online: Worker, three: list[Job]) -> None:
    answer = browser_of(cast.alice).post(f"/jobs/{three[0].pk}/move/", {"after": str(three[2].pk)}, follow=True)
    assert names_in_order(answer.content.decode()) == ["B", "C", "A"]


def test_jobs_at_work_and_paused_can_be_chosen_too(cast: Cast, online: Worker, three: list[Job]) -> None:
    Job.objects.filter(pk=three[0].pk).update(state="running")
    Job.objects.filter(pk=three[1].pk).update(state="paused")
    page = home(cast.bob)
    assert all(f'name="job" value="{job.pk}"' in page for job in three)
    assert page.count("Cancel chosen") == 3


def test_a_move_that_shares_outweigh_is_explained(
    cast: Cast, worker: Worker, base_model: BaseModel, version: DatasetVersion
) -> None:
    make_job(cast, base_model, version, name="at work")
    assert claim_next(worker) is not None
    others = make_job(cast, base_model, version, name="job A", created_by=cast.alice, queue_position=1)
    own = make_job(cast, base_model, version, name="job B", queue_position=2)
    answer = browser_of(cast.alice).post(f"/jobs/{own.pk}/move/", {"before": str(others.pk)}, follow=True)
    assert "raise its priority" in answer.content.decode()


def test_members_have_no_buttons_to_move_and_may_not(cast: Cast, three: list[Job]) -> None:
    assert "Move job A up" not in home(cast.bob)
    assert browser_of(cast.bob).post(f"/jobs/{three[1].pk}/move/", {"to": "up"}).status_code == 403
    assert browser_of(cast.charlie).post(f"/jobs/{three[1].pk}/move/", {"to": "up"}).status_code == 404


@pytest.mark.parametrize("before", ["0", "x", "²", "-1"])
def test_a_job_is_moved_only_before_one_that_is_there(cast: Cast, three: list[Job], before: str) -> None:
    assert browser_of(cast.alice).post(f"/jobs/{three[1].pk}/move/", {"before": before}).status_code == 404


def test_chosen_jobs_are_cancelled_together(cast: Cast, three: list[Job]) -> None:
    ids = [str(job.pk) for job in three[:2]]
    answer = browser_of(cast.bob).post("/jobs/cancel/", {"job": ids}, follow=True)
    assert "2 jobs cancelled." in answer.content.decode()
    assert list(Job.objects.order_by("queue_position").values_list("state", flat=True)) == [
        "cancelled",
        "cancelled",
        "queued",
    ]


def test_what_cannot_be_cancelled_is_counted(cast: Cast, three: list[Job]) -> None:
    Job.objects.filter(pk=three[0].pk).update(state="succeeded")
    answer = browser_of(cast.bob).post("/jobs/cancel/", {"job": [str(job.pk) for job in three]}, follow=True)
    assert "2 jobs cancelled. 1 could not be cancelled." in answer.content.decode()


def test_a_stranger_and_a_viewer_cancel_nothing(cast: Cast, three: list[Job]) -> None:
    for who in (cast.charlie, cast.vera):
        browser_of(who).post("/jobs/cancel/", {"job": [str(job.pk) for job in three]})
    assert set(Job.objects.values_list("state", flat=True)) == {"queued"}


def test_holding_a_job_leads_back_to_the_queue(cast: Cast, three: list[Job]) -> None:
    answer = browser_of(cast.bob).post(f"/jobs/{three[0].pk}/pause/", {"from": "queue", "state": "queued"})
    assert answer["Location"] == "/?state=queued"


def test_filters_show_one_person_or_one_state(cast: Cast, three: list[Job]) -> None:
    Job.objects.filter(pk=three[0].pk).update(created_by=cast.alice)
    Job.objects.filter(pk=three[1].pk).update(state="failed", reason_code="diverged", ended_at=timezone.now())
    page = home(cast.bob, person="bob")
    assert ">job A<" not in page
    assert ">job C<" in page
    page = home(cast.bob, state="ended")
    assert ">job B<" in page
    assert ">job C<" not in page


def test_all_my_teams_shows_more_than_the_team_i_work_in(cast: Cast, three: list[Job]) -> None:
    Membership.objects.create(user=cast.charlie, team=cast.team, role=Role.VIEWER)
    assert ">job A<" in home(cast.charlie, team="all")
    Membership.objects.filter(user=cast.charlie, team=cast.team).delete()
    assert ">job A<" not in home(cast.charlie, team="all")


def test_an_empty_filter_says_how_to_see_everything(cast: Cast, three: list[Job]) -> None:
    assert "No job fits" in home(cast.bob, person="alice")


@pytest.mark.parametrize("query", [{"page": "x"}, {"page": "999"}, {"state": "'"}, {"person": "²"}, {"team": "7"}])
def test_odd_filters_break_nothing(cast: Cast, three: list[Job], query: dict[str, str]) -> None:
    assert browser_of(cast.bob).get("/", query).status_code == 200


def test_a_character_that_no_database_keeps_is_refused(cast: Cast, three: list[Job]) -> None:
    assert browser_of(cast.bob).get("/", {"person": "\x00"}).status_code == 400


def test_the_page_costs_the_same_for_fifty_waiting_jobs_as_for_three(
    cast: Cast,
    online: Worker,
    base_model: BaseModel,
    version: DatasetVersion,
    three: list[Job],
    django_assert_max_num_queries: Any,
) -> None:
    for number in range(50):
        make_job(cast, base_model, version, name=f"more {number}", queue_position=10 + number)
    browser = browser_of(cast.alice)
    with django_assert_max_num_queries(15):
        page = browser.get("/", {"team": "all"}).content.decode()
    assert "53 queued jobs, page 1 of 2" in page
