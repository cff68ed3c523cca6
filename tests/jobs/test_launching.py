"""Launching into the queue: GPUs, pool, priority, earliest start, quotas, and the least memory a job needs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from tests.conftest import Api, Cast, api_of
from tests.jobs.queue import Queue, gpu, online, processor
from tests.methods.shapes import minilm
from tests.pages.test_access import browser_of
from webapp.basemodels.models import BaseModel
from webapp.datasets.models import DatasetVersion
from webapp.jobs import answers, reporting, transitions
from webapp.jobs.least_memory import by_arithmetic
from webapp.jobs.models import Job


@pytest.fixture
def wanted(base_model: BaseModel, version: DatasetVersion) -> dict[str, Any]:
    return {"base_model": base_model.pk, "dataset_version": version.pk, "method": "lora"}


def test_what_was_wished_for_the_queue_is_kept(bob_api: Api, wanted: dict[str, Any]) -> None:
    later = timezone.now() + timedelta(hours=5)
    wishes = {"gpus": 4, "pool": "h100", "priority": -3, "run_after": later.isoformat()}
    answer = bob_api("post", "jobs", wanted | wishes)
    assert answer.status_code == 201, answer.content
    job = Job.objects.get()
    assert (job.gpus, job.pool, job.priority, job.run_after) == (4, "h100", -3, later)
    assert job.read_spec.gpus == 4
    assert answer.json()["waiting_code"] == "run_after"


def test_left_out_it_is_one_gpu_of_the_default_pool_at_once(bob_api: Api, wanted: dict[str, Any]) -> None:
    answer = bob_api("post", "jobs", wanted).json()
    assert (answer["gpus"], answer["pool"], answer["priority"], answer["run_after"]) == (1, "default", 0, None)


def test_a_pool_that_does_not_exist_yet_is_accepted_and_said(bob_api: Api, wanted: dict[str, Any]) -> None:
    online("w", [gpu()])
    answer = bob_api("post", "jobs", wanted | {"pool": "tomorrow"})
    assert answer.status_code == 201
    assert answer.json()["why_waiting"] == "No worker belongs to pool tomorrow. Pools with workers: default."


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"run_after": "tomorrow"}, "run_after", "not a time"),
        ({"run_after": "2099-13-45T00:00Z"}, "run_after", "not a time"),
        ({"run_after": "2099-01-01T00:00"}, "run_after", "no time zone"),
        ({"run_after": "2020-01-01T00:00Z"}, "run_after", "has passed"),
        ({"gpus": 0}, "gpus", "1"),
        ({"gpus": 65}, "gpus", "64"),
        ({"gpus": "two"}, "gpus", "integer"),
        ({"pool": "  "}, "pool", "not the name of a pool"),
        ({"run_after": "9999-12-31T23:59:59-23:59"}, "run_after", "not a time"),
        ({"run_after": "0001-01-01T00:00+23:59"}, "run_after", "not a time"),
        ({"run_after": "9999-12-31T23:59:59Z"}, "run_after", "over a year ahead"),
        ({"run_after": "\u0662\u0660\u0662\u0667-01-31T18:00Z"}, "run_after", "not a time"),
        ({"pool": "x" * 41}, "pool", "40"),
        ({"gpus": 3}, "training.batch_size", "`batch_size` is 16 and counts over all 3 GPUs"),
        ({"gpus": 4, "training": {"batch_size": 2}}, "training.batch_size", "Use 4, or fewer GPUs."),
    ],
)
def test_a_wrong_wish_is_named_with_reason_and_fix(
    bob_api: Api, wanted: dict[str, Any], change: dict[str, Any], field: str, words: str
) -> None:
    answer = bob_api("post", "jobs", wanted | change)
    assert answer.status_code == 422
    problem = answer.json()["problems"][0]
    assert problem["field"] == field
    assert words in problem["message"] + problem["hint"]
    assert problem["hint"]
    assert not Job.objects.exists()


def test_four_bits_are_refused_where_no_worker_of_the_pool_can(
    bob_api: Api, wanted: dict[str, Any], base_model: BaseModel
) -> None:
    BaseModel.objects.filter(pk=base_model.pk).update(shape=minilm().as_json())
    four_bits = wanted | {"method": "qlora"}
    assert bob_api("post", "jobs", four_bits).status_code == 201, "with no worker yet, it waits for one"
    online("w", [gpu()], report={"lacks": ["bitsandbytes"]})
    for path in ("jobs", "estimates"):
        refused = bob_api("post", path, four_bits)
        assert refused.status_code == 422
        (problem,) = problems_of(refused)
        assert problem["field"] == "method"
        assert problem["message"] == "QLoRA needs the package bitsandbytes, and no worker of pool default has it."
        assert "pip install bitsandbytes" in problem["hint"]
    assert bob_api("post", "jobs", four_bits | {"pool": "other"}).status_code == 201
    online("able", [gpu()])
    assert bob_api("post", "jobs", four_bits).status_code == 201
    assert Job.objects.count() == 3


def test_behind_many_others_a_launch_is_answered_without_its_place(
    bob_api: Api, wanted: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "PLACED_AT_MOST", 1)
    assert bob_api("post", "jobs", wanted).json()["queue_position"] == 1
    second = bob_api("post", "jobs", wanted).json()
    assert (second["state"], second["queue_position"], second["why_waiting"]) == ("queued", None, None)
    assert bob_api("get", f"jobs/{second['id']}").json()["queue_position"] == 2


def test_a_priority_above_zero_needs_a_maintainer(cast: Cast, bob_api: Api, wanted: dict[str, Any]) -> None:
    refused = bob_api("post", "jobs", wanted | {"priority": 1})
    assert refused.status_code == 403
    assert "maintainer" in refused.json()["error"]["message"]
    assert api_of(cast.alice, cast.team)("post", "jobs", wanted | {"priority": 1}).status_code == 201


# ---- Quotas --------------------------------------------------------------------------------------------


def problems_of(answer: Any) -> list[dict[str, str]]:
    assert answer.status_code == 422, answer.content
    found: list[dict[str, str]] = answer.json()["problems"]
    return found


def test_a_team_queues_no_more_jobs_than_it_may(cast: Cast, bob_api: Api, wanted: dict[str, Any]) -> None:
    cast.team.queued_jobs_at_most = 2
    cast.team.save()
    assert [bob_api("post", "jobs", wanted).status_code for _ in range(2)] == [201, 201]
    (problem,) = problems_of(bob_api("post", "jobs", wanted))
    assert problem["code"] == "job.team_queue_full"
    assert problem["message"] == "Team Weather has 2 of 2 allowed jobs queued or paused."
    Job.objects.filter(pk=Job.objects.first().pk).update(state="running")  # type: ignore[union-attr]
    assert bob_api("post", "jobs", wanted).status_code == 201


def test_one_person_leaves_room_for_the_others(cast: Cast, bob_api: Api, wanted: dict[str, Any]) -> None:
    cast.team.queued_jobs_a_person = 1
    cast.team.save()
    assert bob_api("post", "jobs", wanted).status_code == 201
    (problem,) = problems_of(bob_api("post", "jobs", wanted))
    assert problem["message"] == "You have 1 of 1 allowed jobs queued or paused in team Weather."
    assert api_of(cast.alice, cast.team)("post", "jobs", wanted).status_code == 201


def test_a_pause_makes_no_room_for_another_job(cast: Cast, bob_api: Api, wanted: dict[str, Any]) -> None:
    """Else pause, launch, resume, over and over, would fill the queue beyond any limit."""
    cast.team.queued_jobs_a_person = 1
    cast.team.save()
    job = bob_api("post", "jobs", wanted).json()["id"]
    assert bob_api("post", f"jobs/{job}/pause", {}).status_code == 200
    (problem,) = problems_of(bob_api("post", "jobs", wanted))
    assert problem["code"] == "job.own_queue_full"
    assert bob_api("post", f"jobs/{job}/resume", {}).status_code == 200
    assert bob_api("post", f"jobs/{job}/cancel", {}).status_code == 200
    assert bob_api("post", "jobs", wanted).status_code == 201


def test_used_up_gpu_hours_are_refused_with_numbers_and_the_day_they_end(
    cast: Cast, bob_api: Api, wanted: dict[str, Any]
) -> None:
    cast.team.gpu_hours_a_month = 0.0
    cast.team.save()
    online("w", [gpu()])
    (problem,) = problems_of(bob_api("post", "jobs", wanted))
    assert problem["code"] == "job.gpu_hours_used"
    assert problem["message"].startswith("The team has used 0.0 of its 0.0 GPU hours this month")
    assert "-01 (UTC)" in problem["message"]


def test_a_pool_without_a_gpu_uses_no_gpu_hours(cast: Cast, bob_api: Api, wanted: dict[str, Any]) -> None:
    cast.team.gpu_hours_a_month = 0.0
    cast.team.save()
    online("w", [processor()])
    assert bob_api("post", "jobs", wanted).status_code == 201


def test_the_same_request_again_is_answered_even_when_the_queue_is_full(
    cast: Cast, bob_api: Api, wanted: dict[str, Any]
) -> None:
    cast.team.queued_jobs_at_most = 1
    cast.team.save()
    answers = [bob_api("post", "jobs", wanted, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]


def test_a_retry_needs_room_in_the_queue_and_a_resume_does_not(queue: Queue, bob_api: Api) -> None:
    queue.cast.team.queued_jobs_at_most = 1
    queue.cast.team.save()
    ended, paused = queue.add(state="failed"), queue.add(state="paused", wish="pause")
    queue.add("fills the queue")
    assert problems_of(bob_api("post", f"jobs/{ended.pk}/retry", {}))[0]["code"] == "job.team_queue_full"
    assert bob_api("post", f"jobs/{paused.pk}/resume", {}).status_code == 200
    page = browser_of(queue.cast.bob).post(f"/jobs/{ended.pk}/retry/")
    assert page.status_code == 422
    assert "2 of 1 allowed jobs" in page.content.decode()


def test_a_retry_asks_for_the_same_gpus_and_not_for_a_priority_that_was_lent(queue: Queue) -> None:
    ended = queue.add(state="failed", gpus=2, least_memory_bytes=5, priority=9, pool="h100")
    again = transitions.act(ended, queue.cast.bob, "retry")
    assert (again.gpus, again.least_memory_bytes, again.priority, again.pool) == (2, 5, 0, "h100")


# ---- The least memory ------------------------------------------------------------------------------------


def launched(bob_api: Api, wanted: dict[str, Any], **training: Any) -> Job:
    answer = bob_api("post", "jobs", wanted | {"training": training})
    assert answer.status_code == 201, answer.content
    return Job.objects.get(pk=answer.json()["id"])


def test_by_arithmetic_it_is_weights_gradients_and_optimizer_state(
    bob_api: Api, wanted: dict[str, Any], base_model: BaseModel, version: DatasetVersion
) -> None:
    lora = launched(bob_api, wanted, precision="fp32")
    trained = 2 * 3 * 16 * (32 + 32) + 32 * 2 + 2  # two layers' q, k and v at rank 16, and the head
    assert lora.least_memory_bytes == 4 * 20_000 + 12 * trained
    full = launched(bob_api, wanted | {"method": "full"})
    assert full.least_memory_bytes == by_arithmetic(base_model, version, full.read_spec) == 16 * 20_000 + 12 * 66


def test_half_the_width_needs_half_the_weights(bob_api: Api, wanted: dict[str, Any]) -> None:
    wide, narrow = (launched(bob_api, wanted, precision=name) for name in ("fp32", "bf16"))
    assert narrow.least_memory_bytes == (wide.least_memory_bytes or 0) // 2


def measured(queue: Queue, job: Job, bytes_at_peak: float) -> None:
    """Run the job on a GPU to its end; it reports what its tensors took."""
    attempt = queue.start(online(f"w{job.pk}", [gpu()]))
    assert attempt.job == job
    plan = {"kind": "plan", "total_steps": 1, "memory_kind": "VRAM", "device": "Toy 24G"}
    values = {"loss": 0.5, "allocated_memory_peak_bytes": bytes_at_peak, "device_memory_peak_bytes": 9e9}
    reporting.accept(attempt, 1, [plan, {"kind": "metrics", "step": 1, "time": 1.0, "values": values}])
    queue.finish(attempt)


def test_a_finished_job_of_the_same_sizes_knows_better(queue: Queue, bob_api: Api, wanted: dict[str, Any]) -> None:
    measured(queue, launched(bob_api, wanted), 3e9)
    alike = launched(bob_api, wanted, learning_rate=1e-3).least_memory_bytes
    assert alike == pytest.approx(3e9, rel=1e-5)
    assert (alike or 0) <= 3e9
    assert (launched(bob_api, wanted, batch_size=2).least_memory_bytes or 0) < 1e9
    assert (launched(bob_api, wanted | {"options": {"rank": 2}}).least_memory_bytes or 0) < 1e9


def test_what_another_team_measured_is_not_used(queue: Queue, bob_api: Api, wanted: dict[str, Any]) -> None:
    job = launched(bob_api, wanted)
    measured(queue, job, 3e9)
    Job.objects.filter(pk=job.pk).update(team=queue.cast.other_team)
    assert (launched(bob_api, wanted).least_memory_bytes or 0) < 1e9


# ---- The form --------------------------------------------------------------------------------------------


def test_the_form_offers_the_same_wishes_and_explains_the_order(cast: Cast, wanted: dict[str, Any]) -> None:
    page = browser_of(cast.bob).get("/jobs/new/").content.decode()
    assert all(f'name="queue.{name}"' in page for name in ("gpus", "priority", "pool", "run_after"))
    assert "fewest slots at work" in page
    later = (timezone.now() + timedelta(days=1)).isoformat()
    typed = {"queue.gpus": "2", "queue.pool": "h100", "queue.priority": "-1", "queue.run_after": later}
    assert browser_of(cast.bob).post("/jobs/new/", wanted | typed).status_code == 302
    job = Job.objects.get()
    assert (job.gpus, job.pool, job.priority) == (2, "h100", -1)
    assert job.run_after is not None


@pytest.mark.parametrize(
    ("field", "text"), [("gpus", "0"), ("gpus", "many"), ("run_after", "soon"), ("priority", "101")]
)
def test_a_wrong_wish_is_named_in_the_form_and_kept(cast: Cast, wanted: dict[str, Any], field: str, text: str) -> None:
    answer = browser_of(cast.bob).post("/jobs/new/", wanted | {f"queue.{field}": text})
    page = answer.content.decode()
    assert answer.status_code == 422
    assert f'href="#queue-{field}"' in page
    assert f'id="queue-{field}-fault"' in page
    assert f'value="{text}"' in page
