"""What a stolen token, a worker out of its mind and a hostile trainer may say, and what it must not do to the site."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import time
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as site
from django.test import Client
from django.utils import timezone

from tests.conftest import Cast, make_job
from tests.jobs.worker_calls import WorkerCalls, hand_in_artifact, put_file
from tests.pages.test_access import browser_of
from webapp.accounts.models import AuditEntry
from webapp.basemodels.models import BaseModel
from webapp.jobs import enrolling, live
from webapp.jobs.downloading import read_text
from webapp.jobs.metrics import as_csv
from webapp.jobs.models import Artifact, Attempt, Event, Inspection, Job, Worker, WorkerSample
from webapp.jobs.reconciling import end_what_removed_workers_have
from webapp.jobs.recording import messages_after


def say(calls: WorkerCalls, claimed: dict[str, Any], *events: dict[str, Any], first: int = 1) -> Any:
    path = f"attempts/{claimed['attempt']}/events"
    return calls.post(path, {"first_seq": first, "events": list(events)}, claimed["token"])


def remove(seconds_ago: float) -> None:
    Worker.objects.update(revoked_at=timezone.now() - timedelta(seconds=seconds_ago))


LEAVING_SECONDS = site.TIMINGS.drain_limit_seconds + site.TIMINGS.lease_seconds


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
        live.as_told(FORGED)


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
        found = live.events_after(live.Viewer(job.pk, 1), 0, allowed)
        return [told.n async for batch in found for told in batch]

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


@pytest.mark.parametrize(
    "names",
    [["a\nb.json"], ["C:x.json"], ["a b.json"], ["a.json", "A.json"], ["a.json", "a.json"], ["..", "a.json"]],
    ids=["line end", "drive", "blank", "capital", "twice", "parent"],
)
def test_a_name_that_means_something_else_elsewhere_is_refused(
    calls: WorkerCalls, claimed: dict[str, Any], names: list[str]
) -> None:
    files = [put_file(calls, claimed, name, name.encode()) for name in names]
    files.append(put_file(calls, claimed, "manifest.json", b"{}"))
    body = {"files": files, "manifest": {"files": files[:-1]}}
    answer = calls.post(f"attempts/{claimed['attempt']}/artifacts", body, claimed["token"])
    assert answer.status_code == 422
    assert not Artifact.objects.exists()


def test_a_card_is_no_longer_than_a_page(calls: WorkerCalls, claimed: dict[str, Any]) -> None:
    card = put_file(calls, claimed, "README.md", b"x" * 1_000_001)
    files = [card, put_file(calls, claimed, "manifest.json", b"{}")]
    body = {"files": files, "manifest": {"files": [card]}}
    answer = calls.post(f"attempts/{claimed['attempt']}/artifacts", body, claimed["token"])
    assert answer.status_code == 422
    assert "shorter card" in answer.json()["error"]["message"]


def test_a_larger_card_of_earlier_days_is_not_opened(calls: WorkerCalls, claimed: dict[str, Any]) -> None:
    assert hand_in_artifact(calls, claimed).status_code == 201
    artifact = Artifact.objects.get()
    artifact.files.append({"name": "README.md", "bytes": 10**9, "sha256": "0" * 64, "key": "1/none"})
    assert read_text(artifact, "README.md") == ""
    assert Artifact.objects.get().damaged_at is None


def test_a_zip_is_made_only_where_there_is_room(
    calls: WorkerCalls, claimed: dict[str, Any], cast: Cast, settings: Any
) -> None:
    assert hand_in_artifact(calls, claimed).status_code == 201
    address = f"/api/v1/artifacts/{Artifact.objects.get().pk}/download"
    assert browser_of(cast.bob).get(address).status_code == 200
    Artifact.objects.update(bytes=shutil.disk_usage(settings.VAR).free)
    answer = browser_of(cast.bob).get(address)
    assert answer.status_code == 507
    assert AuditEntry.objects.filter(action="artifact.download").count() == 1


def test_a_series_name_is_no_formula(calls: WorkerCalls, claimed: dict[str, Any], job: Job) -> None:
    assert (
        say(calls, claimed, {"kind": "metrics", "step": 1, "values": {"=cmd|x": 1.0, "loss": 2.0}}).status_code == 200
    )
    header = next(as_csv(job)).strip().split(",")
    assert sorted(header[3:]) == ["'=cmd|x", "loss"]


def test_what_no_chart_can_hold_is_no_score(calls: WorkerCalls, claimed: dict[str, Any], cast: Cast) -> None:
    values = {"eval_accuracy": 1.7e308, "eval_loss": 0.5}
    best = {"name": "eval_accuracy", "value": -1.7e308, "step": 1}
    steps = {"kind": "metrics", "step": 1, "values": {"loss": 1.0, "tokens_per_second": 5e-324}}
    result = {"kind": "result", "final_metrics": values, "best_metric": best}
    assert say(calls, claimed, steps, result).status_code == 200
    job = Job.objects.get()
    assert (job.final_metrics, job.best_metric) == ({"eval_loss": 0.5}, None)
    other = make_job(cast, job.base_model, job.dataset_version, tokens_per_second=1e30)
    assert browser_of(cast.bob).get(job.get_absolute_url(), {"against": other.pk}).status_code == 200


# ---- Names and clocks -------------------------------------------------------------------------------


def test_no_key_moves_a_worker_to_another_team(cast: Cast) -> None:
    worker, _ = enrolling.make_key("gpu-1", cast.team, new=True)
    browser = browser_of(cast.charlie)
    page = browser.post("/workers/keys/", {"name": "gpu-1"}).content.decode()
    assert "There is a worker named gpu-1 already" in page
    for team in (cast.other_team, None):
        with pytest.raises(enrolling.NameTaken):
            enrolling.make_key("gpu-1", team)
    before = worker.key_sha256
    worker.refresh_from_db()
    assert (worker.team, worker.key_sha256) == (cast.team, before)


@pytest.fixture
def fast_clock(monkeypatch: Any) -> None:
    """This process's clock is an hour ahead of the database's."""
    now = timezone.now
    monkeypatch.setattr(timezone, "now", lambda: now() + timedelta(hours=1))


def within_a_minute(moment: Any) -> bool:
    return bool(abs(moment.timestamp() - time.time()) < 60)


@pytest.mark.usefixtures("fast_clock")
def test_an_inspection_lives_by_the_databases_clock(calls: WorkerCalls, base_model: BaseModel) -> None:
    Inspection.objects.create(question={"kind": "base_model_shape"}, base_model=base_model)
    answer = calls.claim().json()
    path = f"inspections/{answer['inspection']}"
    assert calls.post(f"{path}/progress", {"text": "reading"}, answer["token"]).status_code == 200
    assert within_a_minute(Inspection.objects.get().lease_until)
    problem = {"code": "x", "message": "x", "hint": "x"}
    assert calls.post(f"{path}/end", {"problem": problem}, answer["token"]).status_code == 200
    assert within_a_minute(Inspection.objects.get().ended_at)


@pytest.mark.usefixtures("fast_clock")
def test_hellos_keys_and_removals_are_dated_by_the_databases_clock(calls: WorkerCalls, cast: Cast) -> None:
    calls.hello()
    worker = Worker.objects.get()
    assert within_a_minute(worker.last_hello_at)
    assert within_a_minute(worker.samples.get().at)
    enrolling.remove(worker, cast.root)
    assert within_a_minute(worker.revoked_at)
    other, _ = enrolling.make_key("w2")
    assert other.key_expires_at
    assert within_a_minute(other.key_expires_at - timedelta(hours=1))
