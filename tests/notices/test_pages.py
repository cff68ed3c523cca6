"""The bell, the list and the settings: each person's own, bounded in queries, the secret shown once."""

from __future__ import annotations

import html
import ipaddress
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from tests.conftest import Cast
from tests.notices.conftest import browser_of, choose
from tests.notices.endpoints import endpoint
from webapp.accounts.models import AuditEntry, Membership, User
from webapp.jobs.models import Job
from webapp.notices.models import Delivery, Notice, NoticeChoice
from webapp.notices.sealing import unseal

End = Callable[[], Job]
SETTINGS = "/notices/settings/"
ON = {"in_app": "on", "succeeded": "on", "failed": "on", "cancelled": "on", "interrupted": "on"}


def tell(user: User, job: Job, number: int = 1, **fields: Any) -> None:
    rows = [
        Notice(user=user, key=f"k{n}", job=job, kind="failed", sentence=f"notice {n}.", **fields) for n in range(number)
    ]
    Notice.objects.bulk_create(rows)


def bell(user: User) -> str:
    found = re.search(r'aria-label="(Notices[^"]*)"', browser_of(user).get("/team/").content.decode())
    assert found
    return found[1]


def test_the_bell_counts_what_is_unread(cast: Cast, job: Job) -> None:
    assert bell(cast.bob) == "Notices"
    tell(cast.bob, job, 2)
    assert bell(cast.bob) == "Notices, 2 unread"
    Notice.objects.update(read_at=timezone.now())
    assert bell(cast.bob) == "Notices"


@pytest.mark.parametrize("number", [1, 500])
def test_the_bell_costs_one_query_however_much_is_unread(
    cast: Cast, job: Job, number: int, django_assert_max_num_queries: Any
) -> None:
    tell(cast.bob, job, number)
    browser = browser_of(cast.bob)
    with django_assert_max_num_queries(12):
        page = browser.get("/team/").content.decode()
    assert ("more than 99 unread" in page) == (number > 99)


def test_a_list_of_many_is_paged_with_bounded_queries(cast: Cast, job: Job, django_assert_max_num_queries: Any) -> None:
    tell(cast.bob, job, 120)
    browser = browser_of(cast.bob)
    with django_assert_max_num_queries(12):
        page = browser.get("/notices/").content.decode()
    assert page.count("Mark as read") == 50
    assert "notice 119." in page
    assert "page 1 of 3" in page
    assert "notice 0." in browser.get("/notices/?page=3").content.decode()


def test_one_is_marked_and_then_all(cast: Cast, job: Job) -> None:
    tell(cast.bob, job, 3)
    bob = browser_of(cast.bob)
    first = Notice.objects.order_by("id")[0]
    assert bob.post(f"/notices/{first.pk}/read/").status_code == 302
    assert Notice.objects.unread().count() == 2
    assert bob.post("/notices/read/").status_code == 302
    assert Notice.objects.unread().count() == 0
    assert bob.get(f"/notices/{first.pk}/read/").status_code == 405


@pytest.mark.parametrize("who", ["alice", "vera", "charlie", "root"])
def test_anothers_notices_do_not_exist(cast: Cast, job: Job, who: str) -> None:
    tell(cast.bob, job)
    browser = browser_of(getattr(cast, who))
    assert b"notice 0." not in browser.get("/notices/").content
    assert browser.post(f"/notices/{Notice.objects.get().pk}/read/").status_code == 404
    browser.post("/notices/read/")
    assert Notice.objects.unread().count() == 1


def test_who_left_the_team_finds_nothing(cast: Cast, job: Job) -> None:
    tell(cast.bob, job)
    Membership.objects.filter(user=cast.bob).delete()
    bob = browser_of(cast.bob)
    assert b"notice 0." not in bob.get("/notices/").content
    assert bob.post(f"/notices/{Notice.objects.get().pk}/read/").status_code == 404


def test_names_are_shown_literally(cast: Cast, succeed: End) -> None:
    Job.objects.update(name="<img src=x onerror=alert(1)>")
    succeed()
    page = browser_of(cast.bob).get("/notices/").content.decode()
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page


@pytest.mark.parametrize("address", ["/notices/", SETTINGS])
def test_nobody_looks_without_signing_in(client: Any, db: Any, address: str) -> None:
    assert client.get(address).status_code == 302


def test_a_choice_is_saved_and_shown_and_noted(cast: Cast) -> None:
    bob = browser_of(cast.bob)
    assert bob.post(SETTINGS, {"in_app": "on", "failed": "on", "teams": [cast.team.pk]}).status_code == 302
    choice = NoticeChoice.objects.get(user=cast.bob)
    assert (choice.in_app, choice.failed, choice.succeeded, choice.interrupted) == (True, True, False, False)
    assert list(choice.teams.all()) == [cast.team]
    page = bob.get(SETTINGS).content.decode()
    assert re.search(rf'name="teams" value="{cast.team.pk}" checked', page)
    assert 'name="succeeded">' in page
    entry = AuditEntry.objects.get(action="notices.change")
    assert entry.actor == cast.bob
    assert set(entry.detail["changed"]) == {"succeeded", "cancelled", "interrupted", "teams"}


def test_saving_the_same_again_notes_nothing(cast: Cast) -> None:
    bob = browser_of(cast.bob)
    bob.post(SETTINGS, ON)
    assert not AuditEntry.objects.exists()


def test_a_team_one_is_not_in_cannot_be_followed(cast: Cast) -> None:
    answer = browser_of(cast.bob).post(SETTINGS, ON | {"teams": [cast.other_team.pk]})
    assert answer.status_code == 422
    assert not NoticeChoice.objects.exists()


def test_the_secret_is_shown_once_and_stored_sealed(cast: Cast) -> None:
    bob = browser_of(cast.bob)
    answer = bob.post(SETTINGS, ON | {"webhook_url": "https://hooks.example.org/x"})
    found = re.search(r"delta_h_[\w-]+", answer.content.decode())
    assert found
    assert "no-store" in answer["Cache-Control"]
    choice = NoticeChoice.objects.get()
    assert found[0] not in choice.sealed_secret
    assert unseal(choice.sealed_secret) == found[0]
    for page in (SETTINGS, "/notices/", "/team/"):
        assert found[0] not in bob.get(page).content.decode()
    assert bob.post(SETTINGS, ON | {"webhook_url": "https://hooks.example.org/y"}).status_code == 302
    assert found[0] not in str(list(AuditEntry.objects.values()))
    assert (
        choice.sealed_secret
        not in browser_of(cast.root).get(f"/admin/notices/noticechoice/{choice.pk}/change/").content.decode()
    )


def test_a_new_secret_replaces_the_old(cast: Cast) -> None:
    choice = choose(cast.bob, webhook_url="https://hooks.example.org/x")
    answer = browser_of(cast.bob).post("/notices/settings/secret/").content.decode()
    choice.refresh_from_db()
    assert unseal(choice.sealed_secret) in answer
    assert AuditEntry.objects.get().action == "notices.secret"


def test_without_a_webhook_there_is_no_secret(cast: Cast) -> None:
    choose(cast.bob, webhook_url="https://hooks.example.org/x")
    bob = browser_of(cast.bob)
    bob.post(SETTINGS, ON | {"webhook_url": ""})
    assert NoticeChoice.objects.get().sealed_secret == ""
    assert bob.post("/notices/settings/secret/", follow=True).status_code == 200
    assert NoticeChoice.objects.get().sealed_secret == ""


@pytest.mark.parametrize(
    "url", ["http://hooks.example.org/", "https://127.0.0.1/", "javascript:alert(1)", "https://a b/"]
)
def test_a_bad_address_is_refused_with_a_sentence(cast: Cast, url: str) -> None:
    answer = browser_of(cast.bob).post(SETTINGS, ON | {"webhook_url": url})
    assert answer.status_code == 422
    assert not NoticeChoice.objects.exists()
    page = answer.content.decode()
    assert "Nothing was saved yet." in page
    assert html.escape(url) in page


def test_the_page_says_that_mail_is_not_set_up(cast: Cast, settings: Any) -> None:
    bob = browser_of(cast.bob)
    settings.EMAIL_HOST = ""
    assert b"The site&#x27;s admin has not set up e-mail" in bob.get(SETTINGS).content or (
        b"The site's admin has not set up e-mail" in bob.get(SETTINGS).content
    )
    assert bob.post(SETTINGS, ON | {"email": "on"}).status_code == 422
    settings.EMAIL_HOST = "mail.example.org"
    assert b"Your account has no e-mail address" in bob.get(SETTINGS).content
    assert bob.post(SETTINGS, ON | {"email": "on"}).status_code == 422
    cast.bob.email = "bob@example.org"
    cast.bob.save()
    assert bob.post(SETTINGS, ON | {"email": "on"}).status_code == 302
    assert NoticeChoice.objects.get().email


def test_lost_workers_are_offered_to_maintainers_only(cast: Cast) -> None:
    assert b'name="worker_lost"' in browser_of(cast.alice).get(SETTINGS).content
    bob = browser_of(cast.bob)
    assert b'name="worker_lost"' not in bob.get(SETTINGS).content
    assert bob.post(SETTINGS, ON | {"worker_lost": "on"}).status_code == 422


@pytest.mark.parametrize(("status", "said"), [(200, "The endpoint answered 200."), (403, "The endpoint answered 403.")])
def test_a_test_shows_the_status_and_never_the_answer(cast: Cast, settings: Any, status: int, said: str) -> None:
    settings.WEBHOOK_NETWORKS = [ipaddress.ip_network("127.0.0.0/8")]
    with endpoint(status) as hook:
        choose(cast.bob, webhook_url=hook.url)
        page = browser_of(cast.bob).post("/notices/settings/test/", follow=True).content.decode()
    assert len(hook.received) == 1
    assert b'"kind": "test"' in hook.received[0].body
    assert said in page
    assert "an answer that nobody may show" not in page


def test_what_was_given_up_is_shown_to_its_owner_alone(cast: Cast, succeed: End) -> None:
    choose(cast.bob, webhook_url="https://hooks.example.org/x")
    succeed()
    Delivery.objects.update(gave_up_at=timezone.now(), tries=8, last_error="The endpoint answered 500.")
    assert b"The endpoint answered 500." in browser_of(cast.bob).get(SETTINGS).content
    assert b"The endpoint answered 500." not in browser_of(cast.alice).get(SETTINGS).content


def test_the_settings_page_has_bounded_queries(cast: Cast, succeed: End, django_assert_max_num_queries: Any) -> None:
    choose(cast.bob, webhook_url="https://hooks.example.org/x", teams=[cast.team])
    succeed()
    browser = browser_of(cast.bob)
    with django_assert_max_num_queries(15):
        browser.get(SETTINGS)
