"""The database is locked, restarted, out of connections or full: 503 in words, never 500, no batch lost."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from django.db import OperationalError, connection
from django.test import Client

from launcher import postgres
from tests.conftest import Api
from tests.faults.serving import Served, serving
from webapp.basemodels.models import BaseModel
from webapp.datasets.models import DatasetVersion
from webapp.jobs.models import Job


def launch(served: Served, timeout: float = 30) -> httpx.Response:
    body = {"base_model": served.base_model, "dataset_version": served.dataset_version, "method": "lora"}
    return served.call("POST", "api/v1/jobs", served.user_token, timeout, json=body)


@pytest.mark.slow
@pytest.mark.fault(22)
def test_a_locked_sqlite_is_waited_for_and_then_answered_with_503(tmp_path: Path) -> None:
    with serving(tmp_path / "var", DELTABOARD_SQLITE_WAIT_SECONDS="1") as served:
        assert served.send_events(1, "before").status_code == 200
        lock = sqlite3.connect(tmp_path / "var" / "deltaboard.sqlite3", isolation_level=None)
        lock.execute("BEGIN EXCLUSIVE")
        answers = [served.send_events(2, "during"), launch(served)]
        page = served.call("POST", "sign-in/", data={"username": "x", "password": "y"})
        reading = served.call("GET", "api/worker/ping")
        lock.execute("ROLLBACK")
        lock.close()
        assert [answer.status_code for answer in answers] == [503, 503]
        assert all(answer.headers["Retry-After"].isdigit() for answer in answers)
        assert all(answer.json()["error"]["code"] == "database_busy" for answer in answers)
        assert page.status_code in (403, 503)  # no CSRF cookie: refused before it needs the database
        assert reading.status_code == 200
        assert served.send_events(2, "during").json()["acked_seq"] == 2
        assert served.log_lines() == ["before", "during"]


@pytest.fixture
def server() -> Iterator[postgres.Server]:
    try:
        with postgres.running(max_connections="10") as server:
            yield server
    except postgres.NoServer as problem:
        pytest.skip(str(problem))


@pytest.mark.slow
@pytest.mark.fault(24)
def test_forty_requests_share_ten_connections(tmp_path: Path, server: postgres.Server) -> None:
    with serving(tmp_path / "var", DATABASE_URL=server.url) as served, ThreadPoolExecutor(30) as pool:
        codes = Counter(answer.status_code for answer in pool.map(lambda _: launch(served, 60), range(40)))
        assert set(codes) <= {201, 503}, codes
        assert codes[201] >= 35, codes
        assert served.send_events(1, "after").status_code == 200


@pytest.mark.fault(26)
@pytest.mark.skipif(
    connection.vendor != "sqlite", reason="fills SQLite's file; PostgreSQL says the same by its own code"
)
@pytest.mark.django_db(transaction=True)
def test_a_full_disk_under_the_database_is_said_in_words_and_heals(
    bob_api: Api, base_model: BaseModel, version: DatasetVersion
) -> None:
    body = {"base_model": base_model.pk, "dataset_version": version.pk, "method": "lora"}
    body["name"] = "x" * 100
    with connection.cursor() as cursor:
        cursor.execute("VACUUM")  # pages that earlier tests left free would hold all of ours
        cursor.execute("PRAGMA page_count")
        pages = cursor.fetchone()[0]
        cursor.execute(f"PRAGMA max_page_count = {pages}")
        answers = [bob_api("post", "jobs", body) for _ in range(60)]
        full = [answer for answer in answers if answer.status_code != 201]
        reading = bob_api("get", "jobs")
        cursor.execute("PRAGMA max_page_count = 1000000")
        cursor.execute("PRAGMA integrity_check")
        assert cursor.fetchone()[0] == "ok"
    assert full, "the file never became full"
    assert {answer.status_code for answer in full} == {503}
    assert full[-1].json()["error"]["code"] == "disk_full"
    assert "disk" in full[-1].json()["error"]["message"]
    assert full[-1].headers["Retry-After"] == "10"
    assert reading.status_code == 200
    assert bob_api("post", "jobs", body).status_code == 201
    assert Job.objects.count() == 61 - len(full)


@pytest.mark.django_db
def test_a_page_without_database_is_a_calm_503() -> None:
    browser = Client(raise_request_exception=False)
    browser.cookies["deltaboard_session"] = "x" * 32

    def busy(*_: object) -> None:
        raise OperationalError("database is locked")

    with connection.execute_wrapper(busy):
        answer = browser.get("/jobs/")
    assert answer.status_code == 503
    assert answer["Retry-After"] == "2"
    assert "One moment" in answer.content.decode()
