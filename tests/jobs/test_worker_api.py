"""The worker API over HTTP: what each token may do, what is idempotent, what a stale attempt hears."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db.models import Q
from django.test import Client
from django.utils import timezone

from tests.conftest import Cast, make_job
from tests.jobs.worker_calls import WorkerCalls, hand_in_artifact, put_file
from webapp.basemodels.models import BaseModel
from webapp.datasets.models import DatasetVersion
from webapp.jobs import enrolling, transitions
from webapp.jobs.models import Artifact, Attempt, Checkpoint, Inspection, Job, Worker
from webapp.jobs.reconciling import Reconciler, end_lost_attempts, give_back_inspections, give_back_unacknowledged
from workers.protocol import Device, WorkerReport


def test_a_key_works_once(db: Any) -> None:
    _, key = enrolling.make_key("w1")
    body = {"key": key, "hostname": "h", "version": "0", "protocol": 1}
    client = Client(REMOTE_ADDR="127.0.0.1")
    assert client.post("/api/worker/enrol", body, "application/json").status_code == 200
    second = client.post("/api/worker/enrol", body, "application/json")
    assert second.status_code == 403
    assert "used" in second.json()["error"]["message"]


def test_another_machine_is_refused_while_the_broker_is_embedded(db: Any) -> None:
    _, key = enrolling.make_key("w1")
    body = {"key": key, "hostname": "h", "version": "0", "protocol": 1}
    refused = Client(REMOTE_ADDR="192.0.2.7").post("/api/worker/enrol", body, "application/json")
    assert refused.status_code == 403
    assert "Set REDIS_URL" in refused.json()["error"]["message"]


def test_without_a_token_there_is_nothing(db: Any) -> None:
    for path in ("hello", "claim", "attempts/1/ack", "attempts/1/events", "inspections/1/end"):
        assert Client().post(f"/api/worker/{path}", {}, "application/json").status_code == 401


def test_no_work_is_204(calls: WorkerCalls) -> None:
    assert calls.claim().status_code == 204


def test_a_claim_gives_the_spec_and_starts_the_job(calls: WorkerCalls, job: Job) -> None:
    answer = calls.claim().json()
    job.refresh_from_db()
    assert (answer["kind"], answer["number"], answer["spec"]["method"]) == ("job", 1, "lora")
    assert job.state == "starting"
    assert answer["token"] not in str(list(Attempt.objects.values()))


def test_the_same_claim_again_gets_the_same_attempt_and_the_old_token_dies(calls: WorkerCalls, job: Job) -> None:
    first, second = calls.claim().json(), calls.claim().json()
    assert first["attempt"] == second["attempt"]
    path = f"attempts/{first['attempt']}/ack"
    assert calls.post(path, token=first["token"]).status_code == 401
    assert calls.post(path, token=second["token"]).status_code == 200


def test_events_are_kept_once_whatever_is_sent_twice(calls: WorkerCalls, claimed: dict[str, Any], job: Job) -> None:
    events = [{"kind": "log", "text": f"line {n}"} for n in range(3)]
    path = f"attempts/{claimed['attempt']}/events"
    for _ in range(2):
        answer = calls.post(path, {"first_seq": 1, "events": events}, claimed["token"])
        assert answer.json()["acked_seq"] == 3
    assert job.events.filter(kind="log").count() == 3


def test_a_job_keeps_its_tokens_its_energy_and_the_time_of_a_forward_pass(
    calls: WorkerCalls, claimed: dict[str, Any], job: Job
) -> None:
    spent = {"loss": 1.0, "step_seconds": 2.0, "power_watts": 300.0}
    steps = [{"kind": "metrics", "step": n, "values": {**spent, "tokens_seen": 100.0 * n}} for n in (1, 2)]
    taken = {"base_seconds": 0.01, "delta_seconds": 0.0112, "rows": 8, "tokens": 24}
    events = [*steps, {"kind": "result", "forward_pass": {**taken, "odd": 1}}]
    calls.post(f"attempts/{claimed['attempt']}/events", {"first_seq": 1, "events": events}, claimed["token"])
    job.refresh_from_db()
    assert (job.tokens_seen, job.energy_joules) == (200, 1200.0)
    assert job.forward_pass == taken
    assert job.delta_slowdown == pytest.approx(1.12)
    assert job.merged_slowdown is None


def test_a_gap_in_the_events_is_refused(calls: WorkerCalls, claimed: dict[str, Any]) -> None:
    body = {"first_seq": 5, "events": [{"kind": "log", "text": "x"}]}
    answer = calls.post(f"attempts/{claimed['attempt']}/events", body, claimed["token"])
    assert answer.status_code == 422
    assert "Event 1 is missing" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "event",
    [
        {"kind": "nonsense"},
        {"kind": "metrics", "step": -1, "values": {"loss": 1}},
        {"kind": "metrics", "step": 1, "values": {"loss": "low"}},
        {"kind": "metrics", "step": 1, "values": {}},
        {"kind": "metrics", "step": "1", "values": {"loss": 1}},
        {"kind": "result", "forward_pass": {"base_seconds": 5e-324, "delta_seconds": 1.0, "rows": 1, "tokens": 1}},
    ],
)
def test_a_report_that_makes_no_sense_stores_nothing(
    calls: WorkerCalls, claimed: dict[str, Any], job: Job, event: dict[str, Any]
) -> None:
    before = Job.objects.get(pk=job.pk).last_event
    body = {"first_seq": 1, "events": [{"kind": "log", "text": "good"}, event]}
    assert calls.post(f"attempts/{claimed['attempt']}/events", body, claimed["token"]).status_code == 422
    assert Job.objects.get(pk=job.pk).last_event == before


def test_the_answer_to_a_heartbeat_brings_the_wish(
    calls: WorkerCalls, claimed: dict[str, Any], job: Job, cast: Cast
) -> None:
    transitions.act(job, cast.bob, "cancel")
    answer = calls.post(f"attempts/{claimed['attempt']}/events", {"first_seq": 1, "events": []}, claimed["token"])
    assert answer.json()["wish"] == "cancel"


def test_an_artifact_makes_the_job_succeed(calls: WorkerCalls, claimed: dict[str, Any], job: Job) -> None:
    assert hand_in_artifact(calls, claimed).status_code == 201
    end = {"outcome": "succeeded", "last_seq": 0}
    for _ in range(2):
        assert calls.post(f"attempts/{claimed['attempt']}/end", end, claimed["token"]).json() == {"state": "succeeded"}


def test_a_file_with_another_hash_is_not_kept(calls: WorkerCalls, claimed: dict[str, Any]) -> None:
    answer = calls.put(f"attempts/{claimed['attempt']}/files/{'0' * 64}", b"other", claimed["token"])
    assert answer.status_code == 422


@pytest.mark.parametrize("name", ["../x.json", "/etc/x.json", "a\\b.json", "x.pkl", "pytorch_model.bin", ""])
def test_an_unwanted_file_name_is_refused(calls: WorkerCalls, claimed: dict[str, Any], name: str) -> None:
    file = put_file(calls, claimed, name, b"{}")
    body = {"files": [file], "manifest": {"files": []}}
    answer = calls.post(f"attempts/{claimed['attempt']}/artifacts", body, claimed["token"])
    assert answer.status_code == 422
    assert not Artifact.objects.exists()


def test_a_manifest_that_lists_something_else_is_refused(calls: WorkerCalls, claimed: dict[str, Any]) -> None:
    files = [put_file(calls, claimed, "manifest.json", b"{}")]
    body = {"files": files, "manifest": {"files": [{"name": "a.json", "sha256": "1"}]}}
    assert calls.post(f"attempts/{claimed['attempt']}/artifacts", body, claimed["token"]).status_code == 422


def test_an_attempt_reads_its_own_inputs_and_nothing_else(
    calls: WorkerCalls, claimed: dict[str, Any], version: DatasetVersion
) -> None:
    rows = b'{"split":"train","text":"a","label":"pos"}\n'
    version.file_key = default_storage.save("1/versions/x", ContentFile(rows))
    version.sha256 = hashlib.sha256(rows).hexdigest()
    version.bytes = len(rows)
    version.save()
    path = f"attempts/{claimed['attempt']}/inputs"
    answer = calls.get(f"{path}/{version.sha256}", claimed["token"])
    assert b"".join(answer) == rows
    assert calls.get(f"{path}/{'2' * 64}", claimed["token"]).status_code == 404


def test_one_attempts_token_opens_no_other_attempt(
    calls: WorkerCalls, claimed: dict[str, Any], cast: Cast, base_model: BaseModel, version: DatasetVersion
) -> None:
    make_job(cast, base_model, version)
    other = calls.claim("c2").json()
    answer = calls.post(f"attempts/{other['attempt']}/ack", token=claimed["token"])
    assert answer.status_code == 404


def test_an_ended_attempt_hears_stale(calls: WorkerCalls, claimed: dict[str, Any]) -> None:
    transitions.end_attempt(Attempt.objects.get(), "reconciler", "released", "worker_lost")
    for path, body in (("events", {"first_seq": 1, "events": []}), ("ack", {}), ("checkpoints", {"files": []})):
        answer = calls.post(f"attempts/{claimed['attempt']}/{path}", body, claimed["token"])
        assert answer.status_code == 409
        assert answer.json()["error"]["code"] == "stale_attempt"


def test_a_new_boot_ends_the_old_boots_attempt_at_once(calls: WorkerCalls, claimed: dict[str, Any], job: Job) -> None:
    calls.hello("boot-2")
    job.refresh_from_db()
    assert (job.state, job.reason_code) == ("queued", "worker_lost")


@pytest.mark.fault(55)
def test_the_same_token_on_another_machine_is_refused_while_the_first_says_hello(calls: WorkerCalls) -> None:
    answer = calls.hello("boot-2", host="h2")
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "worker_running"


def test_a_draining_worker_gets_nothing(calls: WorkerCalls, job: Job) -> None:
    Worker.objects.update(drain=True)
    assert calls.claim().status_code == 204


def test_a_teams_worker_takes_only_its_teams_jobs(calls: WorkerCalls, job: Job, cast: Cast) -> None:
    Worker.objects.update(team=cast.other_team)
    assert calls.claim().status_code == 204


def test_a_checkpoint_is_what_the_next_attempt_gets(calls: WorkerCalls, claimed: dict[str, Any], job: Job) -> None:
    for step in (2, 4, 6):
        files = [put_file(calls, claimed, "manifest.json", f"{step}".encode())]
        body: dict[str, Any] = {"step": step, "files": files, "manifest": {}, "best": step == 2}
        assert calls.post(f"attempts/{claimed['attempt']}/checkpoints", body, claimed["token"]).status_code == 201
    assert list(Checkpoint.objects.values_list("step", flat=True)) == [6, 4, 2]
    calls.hello("boot-2")
    again = calls.claim("c2", "boot-2").json()
    assert again["number"] == 2
    assert again["checkpoint"]["step"] == 6
    assert again["checkpoint"]["files"][0]["sha256"] == hashlib.sha256(b"6").hexdigest()


# ---- The reconciler -----------------------------------------------------------------------------


def test_a_dead_lease_ends_the_attempt(calls: WorkerCalls, claimed: dict[str, Any], job: Job) -> None:
    end_lost_attempts()
    assert Job.objects.get().state == "running"
    Attempt.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    end_lost_attempts()
    job.refresh_from_db()
    assert (job.state, job.reason_code) == ("queued", "worker_lost")


def test_a_claim_that_was_never_acknowledged_goes_back(calls: WorkerCalls, job: Job) -> None:
    calls.claim()
    Attempt.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    give_back_unacknowledged()
    job.refresh_from_db()
    assert (job.state, job.reason_code, job.infrastructure_ends) == ("queued", "not_acked", 0)


def test_a_site_that_was_away_blames_no_worker(calls: WorkerCalls, claimed: dict[str, Any]) -> None:
    Attempt.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    reconciler = Reconciler(answers=lambda: True)
    reconciler.turn()
    Attempt.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    reconciler.last_sweep -= 3600
    reconciler.turn()
    assert Job.objects.get().state == "running"


def test_an_inspection_is_given_back_three_times_at_most(calls: WorkerCalls, base_model: BaseModel) -> None:
    inspection = Inspection.objects.create(question={"kind": "base_model_shape"}, base_model=base_model)
    for number in range(3):
        assert calls.claim(f"i{number}").json()["kind"] == "inspection"
        Inspection.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
        give_back_inspections()
    inspection.refresh_from_db()
    assert inspection.state == "failed"
    assert "stopped answering" in inspection.problem["message"]


# ---- Hostile reports ----------------------------------------------------------------------------

RAW = [
    '{"a": NaN}',
    '{"a": 1e999}',
    '{"a": "\\ud800"}',
    '{"a": "\\u0000"}',
    '{"a": 9' + "9" * 5000 + "}",
    "[" * 100_000,
]


@pytest.mark.parametrize("raw", RAW, ids=["NaN", "too large", "surrogate", "NUL", "digits", "deep"])
@pytest.mark.parametrize("path", ["hello", "claim", "attempts/1/events", "attempts/1/end", "attempts/1/artifacts"])
def test_json_that_cannot_be_stored_stops_at_the_door(
    calls: WorkerCalls, claimed: dict[str, Any], path: str, raw: str
) -> None:
    token = claimed["token"] if path.startswith("attempts") else calls.token
    path = path.replace("/1/", f"/{claimed['attempt']}/")
    headers = {"Authorization": f"Bearer {token}"}
    answer = calls.client.post(f"/api/worker/{path}", raw, "application/json", headers=headers)
    assert answer.status_code == 400
    assert Attempt.objects.get().state == "running"


@pytest.mark.parametrize(
    "event",
    [
        {"kind": ["log"]},
        {"kind": "plan", "total_steps": -1},
        {"kind": "plan", "total_steps": 10, "trainable_parameters": "x"},
        {"kind": "metrics", "step": 1, "epoch": None, "values": {"loss": [1]}},
        {"kind": "metrics", "step": 2**40, "values": {"loss": 1}},
        {"kind": "result", "best_metric": {"x": 1}},
        {"kind": "result", "notes": 5},
        {"kind": "log", "text": {}},
    ],
)
def test_an_event_of_another_shape_is_refused(
    calls: WorkerCalls, claimed: dict[str, Any], event: dict[str, Any]
) -> None:
    body = {"first_seq": 1, "events": [event]}
    answer = calls.post(f"attempts/{claimed['attempt']}/events", body, claimed["token"])
    assert answer.status_code == 422
    assert "does not fit" in answer.json()["error"]["message"]


def test_infinite_metrics_are_kept_and_break_no_page(
    calls: WorkerCalls, claimed: dict[str, Any], job: Job, cast: Cast
) -> None:
    words = {"loss": "NaN", "tokens_per_second": "Infinity", "step_seconds": "Infinity", "device_memory_bytes": 1e300}
    events = [
        {"kind": "metrics", "step": 1, "values": words},
        {"kind": "result", "final_metrics": {"eval_perplexity": "Infinity", "eval_loss": 2.0}},
    ]
    answer = calls.post(f"attempts/{claimed['attempt']}/events", {"first_seq": 1, "events": events}, claimed["token"])
    assert answer.status_code == 200
    job.refresh_from_db()
    assert job.final_metrics == {"eval_loss": 2.0}
    browser = Client()
    browser.force_login(cast.bob)
    for address in ("/", f"/jobs/{job.pk}/", f"/api/v1/jobs/{job.pk}", f"/api/v1/jobs/{job.pk}/metrics"):
        assert browser.get(address).status_code == 200


def test_a_teams_worker_answers_only_its_own_teams_questions(
    calls: WorkerCalls, base_model: BaseModel, cast: Cast
) -> None:
    Worker.objects.update(team=cast.other_team)
    Inspection.objects.create(question={"kind": "base_model_shape"}, base_model=base_model)
    Inspection.objects.create(question={"kind": "starter_dataset"}, starter="x")
    assert calls.claim().status_code == 204
    base_model.team = cast.other_team
    base_model.save()
    assert calls.claim().json()["kind"] == "inspection"


def test_a_step_beyond_the_last_is_refused(calls: WorkerCalls, claimed: dict[str, Any]) -> None:
    path = f"attempts/{claimed['attempt']}/events"
    plan = {"kind": "plan", "total_steps": 5}
    assert calls.post(path, {"first_seq": 1, "events": [plan]}, claimed["token"]).status_code == 200
    late = {"kind": "metrics", "step": 6, "values": {"loss": 1.0}}
    assert calls.post(path, {"first_seq": 2, "events": [late]}, claimed["token"]).status_code == 422


def test_a_heartbeat_between_look_and_end_saves_the_attempt(calls: WorkerCalls, claimed: dict[str, Any]) -> None:
    attempt = Attempt.objects.get()
    past = Q(state="running", lease_until__lt=timezone.now())
    with pytest.raises(transitions.StaleAttempt):
        transitions.end_attempt(attempt, "reconciler", "released", "worker_lost", still=past)
    assert Job.objects.get().state == "running"


def test_the_first_sweep_after_a_start_blames_no_worker(calls: WorkerCalls, claimed: dict[str, Any]) -> None:
    Attempt.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    Reconciler(answers=lambda: True).turn()
    assert Job.objects.get().state == "running"


def test_a_lost_attempts_last_lines_are_shown(calls: WorkerCalls, claimed: dict[str, Any]) -> None:
    path = f"attempts/{claimed['attempt']}/events"
    calls.post(path, {"first_seq": 1, "events": [{"kind": "log", "text": "almost there"}]}, claimed["token"])
    job = transitions.end_attempt(Attempt.objects.get(), "reconciler", "released", "worker_lost")
    assert job.log_tail == ["almost there"]


def test_an_artifact_of_an_earlier_attempt_proves_nothing(calls: WorkerCalls, claimed: dict[str, Any]) -> None:
    assert hand_in_artifact(calls, claimed).status_code == 201
    calls.hello("boot-2")
    again = calls.claim("c2", "boot-2").json()
    calls.post(f"attempts/{again['attempt']}/ack", token=again["token"])
    answer = calls.post(f"attempts/{again['attempt']}/end", {"outcome": "succeeded"}, again["token"])
    assert answer.json() == {"state": "failed"}


def test_a_removed_worker_hears_so_and_gets_nothing(calls: WorkerCalls, job: Job) -> None:
    assert calls.hello().json()["remove"] is False
    Worker.objects.update(revoked_at=timezone.now())
    assert calls.hello().json()["remove"] is True
    assert calls.claim().status_code == 204


def test_the_whole_report_of_a_worker_is_kept(calls: WorkerCalls) -> None:
    device = Device(0, "cpu", "AMD EPYC", 24 * 1024**3, 20 * 1024**3, 12.5)
    report = WorkerReport("boot-1", "h1", "0.1.0", 2, 1, 4, 8, (device,), isolation={"no_network": True})
    assert calls.post("hello", report.as_json()).status_code == 200
    assert Worker.objects.get().report == json.loads(json.dumps(report.as_json()))
