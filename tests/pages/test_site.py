"""What the site says of itself: promises to everybody, health to admins, quotas to the team."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import httpx
import pytest
from django.contrib.auth.views import LoginView
from django.middleware.security import SecurityMiddleware
from django.test import Client

from tests.conftest import Cast
from tests.pages.test_access import browser_of
from webapp.asgi import application
from webapp.jobs.models import Job
from webapp.jobs.promises import PROMISES, proofs


def test_everybody_reads_the_promises_and_the_tests_behind_them(cast: Cast) -> None:
    for client in (Client(), browser_of(cast.vera)):
        page = client.get("/promises/").content.decode()
        assert all(f"P{promise.number} · {promise.title}" in page for promise in PROMISES)
        assert proofs(PROMISES[1])[0] in page


def test_the_page_for_a_lost_site_is_nobodys_and_needs_no_script(cast: Cast) -> None:
    answers = [client.get("/offline/") for client in (Client(), browser_of(cast.alice))]
    assert answers[0].content == answers[1].content
    assert not answers[1].cookies
    page = answers[0].content.decode()
    assert "Try again" in page
    assert "<script" not in page


def test_the_worker_that_keeps_it_comes_from_the_top_and_changes_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = Client().get("/offline.js")
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/javascript")
    assert "connect-src 'self'" in answer["Content-Security-Policy"]
    assert answer.content == Client().get("/offline.js").content
    monkeypatch.setattr("webapp.offline.render_to_string", lambda name: "another page")
    assert answer.content != Client().get("/offline.js").content


def test_health_is_for_the_sites_admin(cast: Cast) -> None:
    assert browser_of(cast.alice).get("/health/").status_code == 403
    page = browser_of(cast.root).get("/health/").content.decode()
    assert "The database answers." in page
    assert "Nobody has swept yet" in page


def test_the_gallery_shows_every_state_to_the_sites_admin_alone(cast: Cast) -> None:
    assert browser_of(cast.alice).get("/gallery/").status_code == 403
    page = browser_of(cast.root).get("/gallery/").content.decode()
    states = ("loading", "waiting", "by-config", "by-axis", "one-point", "error", "odd", "succeeded", "failed")
    assert all(f'data-chart="gallery-{state}"' in page for state in states)
    assert "connection lost" in page
    assert "Worker heartbeat" in page


def test_the_team_sees_what_it_uses_of_what_it_may(cast: Cast, job: Job) -> None:
    cast.team.queued_jobs_at_most, cast.team.gpu_hours_a_month = 4, 10.5
    cast.team.save()
    page = browser_of(cast.bob).get("/team/quotas/").content.decode()
    assert "1 of 4" in page
    assert "0.0 of 10.5" in page
    assert "Jobs at work" in page
    assert "0, no limit" in page


def test_a_stranger_sees_their_own_teams_quotas_only(cast: Cast, job: Job) -> None:
    assert "0 of 1,000" in browser_of(cast.charlie).get("/team/quotas/").content.decode()


@pytest.mark.django_db(transaction=True)
def test_a_request_runs_in_one_thread_beside_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outermost middleware and view: who changed threads between them would pay for each change."""
    threads: list[int] = []

    def noting(kind: type, name: str) -> None:
        plain = getattr(kind, name)

        def noted(*args: Any, **more: Any) -> Any:
            threads.append(threading.get_ident())
            return plain(*args, **more)

        monkeypatch.setattr(kind, name, noted)

    noting(SecurityMiddleware, "process_request")
    noting(LoginView, "get")

    async def get() -> httpx.Response:
        transport = httpx.ASGITransport(app=application)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as browser:
            return await browser.get("/sign-in/")

    assert asyncio.run(get()).status_code == 200
    assert len(threads) == 2
    assert len(set(threads)) == 1
    assert threading.get_ident() not in threads
