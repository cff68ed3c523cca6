"""Pages by role: a stranger finds nothing, a viewer only looks."""

from __future__ import annotations

import pytest
from django.test import Client

from tests.conftest import Cast
from webapp.accounts.models import User
from webapp.basemodels.models import BaseModel
from webapp.datasets.models import DatasetVersion
from webapp.jobs.models import Job, Worker


def browser_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def addresses(job: Job, version: DatasetVersion, base_model: BaseModel, cast: Cast) -> list[str]:
    base_model.team = cast.team
    base_model.save()
    return [job.get_absolute_url(), version.get_absolute_url(), base_model.get_absolute_url()]


def test_a_member_sees_the_teams_things(cast: Cast, addresses: list[str]) -> None:
    for address in addresses:
        assert browser_of(cast.bob).get(address).status_code == 200


def test_to_a_stranger_they_do_not_exist(cast: Cast, addresses: list[str]) -> None:
    for address in addresses:
        assert browser_of(cast.charlie).get(address).status_code == 404


@pytest.mark.parametrize("action", ["cancel", "pause", "resume", "retry"])
def test_a_stranger_changes_nothing(cast: Cast, job: Job, action: str) -> None:
    assert browser_of(cast.charlie).post(f"/jobs/{job.pk}/{action}/").status_code == 404
    job.refresh_from_db()
    assert job.state == "queued"


def test_a_viewer_finds_no_buttons_and_may_not_cancel(cast: Cast, job: Job) -> None:
    vera = browser_of(cast.vera)
    assert b"/cancel/" not in vera.get(job.get_absolute_url()).content
    assert vera.post(f"/jobs/{job.pk}/cancel/").status_code == 403


@pytest.mark.parametrize("address", ["/", "/jobs/", "/datasets/", "/models/", "/artifacts/", "/workers/", "/team/"])
@pytest.mark.parametrize("who", ["alice", "bob", "vera", "charlie", "root"])
def test_every_list_opens_for_everyone_with_bounded_queries(
    cast: Cast, job: Job, worker: Worker, address: str, who: str, django_assert_max_num_queries: object
) -> None:
    Job.objects.update(name="only-for-the-team")
    browser = browser_of(getattr(cast, who))
    with django_assert_max_num_queries(15):  # type: ignore[operator]
        answer = browser.get(address)
    assert answer.status_code == 200
    if who == "charlie":
        assert b"only-for-the-team" not in answer.content
        assert b">reviews" not in answer.content


def test_the_search_is_text_not_markup(cast: Cast, job: Job) -> None:
    answer = browser_of(cast.bob).get("/jobs/", {"q": "<script>alert(1)</script>"})
    assert b"<script>alert" not in answer.content


def test_names_are_shown_literally(cast: Cast, job: Job) -> None:
    Job.objects.update(name="<img src=x onerror=alert(1)>")
    assert b"<img src=x" not in browser_of(cast.bob).get(job.get_absolute_url()).content


def test_a_missing_page_is_explained(cast: Cast) -> None:
    answer = browser_of(cast.bob).get("/jobs/999999/")
    assert answer.status_code == 404
    assert b"Traceback" not in answer.content


@pytest.mark.parametrize("part", ["", "tokens/", "check/", "rows/", "problems.csv"])
def test_an_id_beyond_all_numbers_is_no_page(cast: Cast, version: DatasetVersion, part: str) -> None:
    for dataset, number in (("9" * 30, 1), (version.dataset_id, "9" * 30)):
        assert browser_of(cast.bob).get(f"/datasets/{dataset}/v{number}/{part}").status_code == 404
