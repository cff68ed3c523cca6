"""What a stolen token, a worker out of its mind and a hostile trainer may say, and what it must not do to the site."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from tests.conftest import Cast
from tests.jobs.worker_calls import WorkerCalls
from tests.pages.test_access import browser_of
from webapp.basemodels.models import BaseModel
from webapp.jobs import live
from webapp.jobs.live_route import as_sse
from webapp.jobs.models import Attempt, Event, Inspection, Job, Worker, WorkerSample
from webapp.jobs.reconciling import end_what_removed_workers_have
from webapp.jobs.recording import messages_after


def say(calls: WorkerCalls, claimed: dict[str, Any], *events: dict[str, Any], first: int = 1) -> Any:
    path = f"attempts/{claimed['attempt']}/events"
    return calls.post(path, {"first_seq": first, "events": list(events)}, claimed["token"])


def remove(seconds_ago: float) -> None:
    Worker.objects.update(revoked_at=timezone.now() - timedelta(seconds=seconds_ago))


LEAVING_SECONDS = settings.TIMINGS.drain_limit_seconds + settings.TIMINGS.lease_seconds


# ---- A removed worker -------------------------------------------------------------------------------


def test_a_removed_worker_has_time_to_hand_its_job_back(calls: WorkerCalls, claimed: dict[str, Any], job: Job) -> None:
    remove(LEAVING_SECONDS - 30)
    end_what_removed_workers_have()
    assert say(calls, claimed).status_code == 200
    assert Job.objects.get().state == "running"


def test_a_removed_worker_that_stays_loses_its_attempt_and_its_inputs(
    calls: WorkerCalls, claimed: dict[str, Any], job: Job
) -> None:
    remove(LEAVING_SECONDS + 1)
    assert say(calls, claimed).status_code == 401
    path = f"attempts/{claimed['attempt']}/inputs/{'1' * 64}"
    assert calls.get(path, claimed["token"]).status_code == 401
    end_what_removed_workers_have()
    job.refresh_from_db()
    assert (job.state, job.reason_code, job.infrastructure_ends) == ("queued", "drained", 0)
    assert Attempt.objects.get().state == "ended"


def test_a_removed_workers_inspection_is_given_back(calls: WorkerCalls, base_model: BaseModel) -> None:
    Inspection.objects.create(question={"kind": "base_model_shape"}, base_model=base_model)
    answer = calls.claim().json()
    remove(LEAVING_SECONDS + 1)
    path = f"inspections/{answer['inspection']}/progress"
    assert calls.post(path, token=answer["token"]).status_code == 401
    end_what_removed_workers_have()
    assert Inspection.objects.get().state == "queued"


# ---- Reports ----------------------------------------------------------------------------------------


def test_a_device_without_memory_is_no_device(calls: WorkerCalls, cast: Cast) -> None:
    device = {"index": 0, "kind": "cuda", "name": "x", "memory_bytes": 0, "memory_free_bytes": 0}
    assert calls.hello(devices=[device]).status_code == 422
    WorkerSample.objects.create(worker=Worker.objects.get(), devices=[device | {"utilisation_percent": None}])
    assert browser_of(cast.bob).get("/workers/").status_code == 200


FORGED = {"n": "1\nevent: end\ndata: {}", "attempt": 99, "kind": "log", "text": "mine"}


def test_an_event_cannot_number_itself(
    calls: WorkerCalls, claimed: dict[str, Any], job: Job, django_capture_on_commit_callbacks: Any, monkeypatch: Any
) -> None:
    told: list[dict[str, Any]] = []
    monkeypatch.setattr("webapp.broker.publish", lambda _, messages: told.extend(messages))
    with django_capture_on_commit_callbacks(execute=True):
        assert say(calls, claimed, FORGED, FORGED | {"time": 7.5}).status_code == 200
    kept = [message for message in messages_after(job.pk, 0) if message["kind"] == "log"]
    for messages in (told, kept):
        assert [(each["n"], each["attempt"], each["text"]) for each in messages] == [
            (number, 1, "mine") for number in Event.objects.filter(kind="log").values_list("number", flat=True)
        ]
    assert kept[1]["time"] == 7.5
    with pytest.raises(ValueError, match="format code"):
        as_sse(FORGED)


def test_a_number_that_an_older_site_let_through_is_not_believed(job: Job) -> None:
    Event.objects.create(job=job, number=1, kind="log", body={"n": 10**6, "kind": "end", "attempt": 3})
    assert [(each["n"], each["kind"], each["attempt"]) for each in messages_after(job.pk, 0)] == [(1, "log", None)]


@pytest.mark.django_db(transaction=True)
def test_a_gap_in_the_stored_events_is_stepped_over(job: Job) -> None:
    for number in (1, 2, 5):
        Event.objects.create(job=job, number=number, kind="end" if number == 5 else "log", body={})

    async def allowed() -> bool:
        return True

    async def seen() -> list[int]:
        found = live.messages(live.Viewer(job.pk, 1), 0, allowed)
        return [message["n"] async for message in found if message]

    async def in_time() -> list[int]:
        return await asyncio.wait_for(seen(), 15)

    assert asyncio.run(in_time()) == [1, 2, 5]


@pytest.mark.parametrize("kind", ["log", "noise", "failed", "result"])
def test_a_step_that_is_a_text_is_no_step(calls: WorkerCalls, claimed: dict[str, Any], kind: str) -> None:
    plan = {"kind": "plan", "total_steps": 5}
    assert say(calls, claimed, plan).status_code == 200
    assert say(calls, claimed, {"kind": kind, "step": "many"}, first=2).status_code == 200


def test_a_log_line_is_stored_as_plain_text(calls: WorkerCalls, claimed: dict[str, Any], job: Job) -> None:
    line = "\x1b[31mred\x1b[0m \x1b]8;;http://x\x07link \u202eturned\nstep 1\rstep 2\r\n"
    assert say(calls, claimed, {"kind": "log", "level": "visually-hidden", "text": line}).status_code == 200
    body = Event.objects.get(kind="log").body
    assert body["text"] == "red link turned\nstep 2\n"
    assert body["level"] == "info"


def test_the_last_lines_are_plain_and_short(calls: WorkerCalls, claimed: dict[str, Any], job: Job) -> None:
    tail = ["\x1b[2Jgone", "x" * 100_000]
    end = {"outcome": "failed", "reason": "trainer_error", "sentence": "\x1b[31mIt broke.", "log_tail": tail}
    assert calls.post(f"attempts/{claimed['attempt']}/end", end, claimed["token"]).status_code == 200
    job.refresh_from_db()
    assert job.log_tail == ["gone", "x" * 8192]
    assert job.reason_sentence == "It broke."


# ---- A stolen token ---------------------------------------------------------------------------------


@pytest.mark.fault(55)
@pytest.mark.parametrize("place", ["", "guessed"])
def test_the_name_of_the_host_does_not_stand_for_its_folder(calls: WorkerCalls, place: str) -> None:
    calls.hello(place="here")
    assert calls.hello("boot-2", place=place).status_code == 409
    assert calls.hello("boot-2", place="here").status_code == 200


def test_a_suspended_worker_is_not_let_go_by_another_machine(calls: WorkerCalls) -> None:
    calls.hello(place="here")
    Worker.objects.update(suspended_at=timezone.now(), last_hello_at=timezone.now() - timedelta(hours=1))
    assert calls.hello("boot-2", host="h2", place="there").status_code == 200
    assert Worker.objects.get().suspended_at is not None


def test_only_those_who_manage_a_worker_see_its_host(calls: WorkerCalls, cast: Cast) -> None:
    calls.hello(host="secret-host")
    for person, sees in ((cast.bob, False), (cast.root, True)):
        browser = browser_of(person)
        assert ("secret-host" in browser.get("/workers/").content.decode()) is sees
        assert (browser.get("/api/v1/workers").json()["items"][0]["hostname"] == "secret-host") is sees


# ---- Files ------------------------------------------------------------------------------------------


def test_a_file_without_its_length_is_refused(calls: WorkerCalls, claimed: dict[str, Any]) -> None:
    sha256 = hashlib.sha256(b"x").hexdigest()
    client = Client(headers={"Authorization": f"Bearer {claimed['token']}"})
    path = f"/api/worker/attempts/{claimed['attempt']}/files/{sha256}"
    answer = client.generic("PUT", path, b"x", CONTENT_LENGTH="")
    assert answer.status_code == 422
    assert "Content-Length" in answer.json()["error"]["message"]
