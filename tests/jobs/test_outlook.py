"""What is said of a queued job: its place, who is ahead, why it waits, when it will start."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.conftest import api_of
from tests.faults.test_claim_race import fill
from tests.jobs.queue import GIB, Queue, gpu, online, processor
from webapp.accounts.models import Membership
from webapp.jobs import transitions, why_waiting
from webapp.jobs.models import Job, Worker
from webapp.jobs.outlook import Waiting, ordinal, outlook, waiting

QUERIES = 8


def said(job: Job) -> Waiting:
    found = waiting(Job.objects.get(pk=job.pk))
    assert found
    assert found.code in why_waiting.CODES
    return found


def running(queue: Queue, worker: Worker, seconds_left: float | None, devices: Any = None) -> Job:
    """Something at work there, and what it says of its pace."""
    queue.add("at work", priority=50)
    job = queue.start(worker, devices).job
    if seconds_left is not None:
        Job.objects.filter(pk=job.pk).update(total_steps=100, step=0, pace={"paces": [seconds_left / 100]})
    return job


def test_only_a_queued_job_has_an_outlook(queue: Queue) -> None:
    job = queue.add()
    assert waiting(job)
    assert waiting(transitions.act(job, queue.cast.bob, "cancel")) is None


def test_places_are_counted_within_the_pool(queue: Queue) -> None:
    jobs = [queue.add(pool=pool) for pool in ("a", "a", "b", "a")]
    assert [said(job).queue_position for job in jobs] == [1, 2, 1, 3]


def test_who_is_ahead_is_told_by_team_and_of_other_teams_only_how_many(queue: Queue) -> None:
    online("w", [gpu()])
    for number in range(2):
        queue.add(f"secret {number}", team=queue.cast.other_team, created_by=queue.cast.charlie, priority=3)
    jobs = [queue.add(f"mine {number}") for number in range(2)]
    assert said(jobs[0]).ahead_sentence == "3rd in pool default; 2 jobs of other teams ahead."
    expected = "4th in pool default; 1 job of team Weather and 2 of other teams ahead."
    assert said(jobs[1]).ahead_sentence == expected
    assert said(jobs[1]).why == "3 jobs ahead of it in pool default."


def test_the_name_of_a_team_is_told_to_its_people(queue: Queue) -> None:
    online("w", [gpu()])
    queue.add(team=queue.cast.other_team, created_by=queue.cast.charlie, priority=3)
    job = queue.add()
    Membership.objects.create(user=queue.cast.bob, team=queue.cast.other_team)
    as_bob = waiting(job, queue.cast.bob)
    assert as_bob
    assert as_bob.ahead_sentence == "2nd in pool default; 1 job of team Other ahead."


def test_nothing_of_other_teams_jobs_is_told_through_the_api(queue: Queue) -> None:
    online("w", [gpu()])
    queue.add("secret name", team=queue.cast.other_team, created_by=queue.cast.charlie, priority=3)
    job = queue.add()
    answer = api_of(queue.cast.bob, queue.cast.team)("get", f"jobs/{job.pk}").content.decode()
    assert all(word not in answer for word in ("secret", "charlie", "Other"))
    assert "1 job of other teams ahead" in answer


@pytest.mark.parametrize(
    ("number", "word"), [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (22, "22nd")]
)
def test_places_are_said_as_people_say_them(number: int, word: str) -> None:
    assert ordinal(number) == word


# ---- Why it waits ------------------------------------------------------------------------------------


def test_no_worker_online(queue: Queue) -> None:
    online("gone", [gpu()])
    Worker.objects.update(last_hello_at=None)
    assert said(queue.add()).code == "no_worker"


def test_a_pool_that_no_worker_has_is_named_with_those_that_exist(queue: Queue) -> None:
    online("w", [gpu()], pool="fast", report={"labels": ["h100"]})
    online("hidden", [gpu()], pool="private", team=queue.cast.other_team)
    told = said(queue.add(pool="typo"))
    assert told.code == "no_worker"
    assert told.why.startswith("No worker belongs to pool typo. Pools with workers: fast, h100.")


@pytest.mark.parametrize("change", [{"drain": True}, {"suspended_at": timezone.now()}])
def test_every_worker_draining_or_suspended(queue: Queue, change: dict[str, Any]) -> None:
    online("w", [gpu()], **change)
    assert said(queue.add()).code == "draining"


def test_too_little_memory_names_what_is_needed_and_the_largest_there_is(queue: Queue) -> None:
    online("a", [gpu(free=10.0)])
    online("b", [gpu(free=20.0)])
    told = said(queue.add(least_memory_bytes=30 * GIB))
    assert told.code == "does_not_fit"
    assert "30.0 GiB" in told.why
    assert "20.0 GiB" in told.why
    assert told.fits_on == ()


def test_four_bits_wait_for_a_worker_with_the_package(queue: Queue) -> None:
    online("a", [gpu()], report={"lacks": ["bitsandbytes"]})
    told = said(queue.add(method="qlora"))
    assert told.code == "does_not_fit"
    assert told.why == "QLoRA needs the package bitsandbytes, and no worker of pool default that is online has it."
    online("b", [gpu()])
    assert said(Job.objects.get()).code == "next"


def test_too_few_gpus_names_the_most_on_one_machine(queue: Queue) -> None:
    online("a", [gpu(0), gpu(1)])
    online("b", [gpu(0)])
    told = said(queue.add(gpus=4))
    assert told.code == "does_not_fit"
    assert told.why.startswith("It needs 4 GPUs of one machine; the most that a worker of pool default has is 2.")


def test_busy_gpus_count_as_what_they_will_be(queue: Queue) -> None:
    worker = online("a", [gpu(0), gpu(1)])
    running(queue, worker, None, [gpu(0), gpu(1)])
    worker.report["devices"] = [gpu(0, free=0.2), gpu(1)]
    worker.save()
    assert said(queue.add(gpus=2, least_memory_bytes=20 * GIB)).fits_on == ("a",)


def test_a_wished_time_and_a_pause_after_a_failure_are_said(queue: Queue) -> None:
    online("w", [gpu()])
    later = timezone.now() + timedelta(hours=3)
    wished = said(queue.add(run_after=later))
    assert (wished.code, f"{later:%H:%M}" in wished.why) == ("run_after", True)
    again = said(queue.add(not_before=timezone.now() + timedelta(seconds=20)))
    assert again.code == "not_before"
    assert again.why == "Its last worker failed it; it is tried again in 20 s."


def test_what_cannot_start_yet_does_not_stand_ahead_of_what_can(queue: Queue) -> None:
    online("w", [gpu()])
    later = queue.add(run_after=timezone.now() + timedelta(hours=3))
    now = queue.add()
    assert (said(now).queue_position, said(later).queue_position) == (1, 2)


def test_used_up_gpu_hours_are_said_with_numbers_and_when_they_end(queue: Queue) -> None:
    queue.cast.team.gpu_hours_a_month = 0.0
    queue.cast.team.save()
    online("w", [gpu()])
    told = said(queue.add())
    assert told.code == "gpu_hours_used"
    assert "used 0.0 of its 0.0 GPU hours" in told.why
    assert "-01 (UTC)" in told.why


def test_the_teams_limit_of_jobs_at_once_is_said(queue: Queue) -> None:
    queue.cast.team.jobs_at_once = 1
    queue.cast.team.save()
    running(queue, online("w", [gpu()]), None)
    told = said(queue.add())
    assert told.code == "jobs_at_once"
    assert told.why.startswith("The team has 1 job at work, and 1 at once is allowed.")


def test_a_worker_kept_free_is_said_with_how_many_of_its_gpus_are(queue: Queue) -> None:
    worker = online("pair", [gpu(0), gpu(1)])
    running(queue, worker, None, [gpu(0), gpu(1)])
    wide = queue.add(gpus=2)
    queue.claim(worker, [gpu(1)])
    told = said(wide)
    assert told.code == "reserved"
    assert told.why == "pair is kept free for it: 1 of the 2 GPUs it needs is free now."


def test_next_in_line(queue: Queue) -> None:
    worker = online("w", [gpu()])
    assert said(queue.add()).why == "Next in line; a worker is about to take it."
    queue.start(worker)
    assert said(queue.add()).why == "Next in line; every worker is busy."


# ---- When about --------------------------------------------------------------------------------------


def test_times_follow_from_what_is_at_work_and_from_finished_jobs_like_it(queue: Queue) -> None:
    queue.finished(600)
    running(queue, online("w", [gpu()]), 120)
    starts = [said(queue.add()).starts_in_seconds for _ in range(3)]
    assert starts == pytest.approx([120, 720, 1320], abs=2)


def test_two_slots_are_filled_side_by_side(queue: Queue) -> None:
    queue.finished(600)
    worker = online("w", [gpu(0), gpu(1)])
    running(queue, worker, 100, [gpu(0), gpu(1)])
    running(queue, worker, 300, [gpu(1)])
    starts = [said(queue.add()).starts_in_seconds for _ in range(4)]
    assert starts == pytest.approx([100, 300, 700, 900], abs=2)


def test_a_job_for_two_gpus_starts_when_both_are_free(queue: Queue) -> None:
    queue.finished(600)
    worker = online("w", [gpu(0), gpu(1)])
    running(queue, worker, 100, [gpu(0), gpu(1)])
    running(queue, worker, 300, [gpu(1)])
    assert said(queue.add(gpus=2)).starts_in_seconds == pytest.approx(300, abs=2)
    assert said(queue.add()).starts_in_seconds == pytest.approx(900, abs=2)


def test_the_most_similar_finished_jobs_decide_how_long_one_takes(queue: Queue) -> None:
    for seconds, method in ((100, "lora"), (200, "lora"), (900, "lora"), (5000, "full")):
        queue.finished(seconds, method=method)
    online("w", [gpu()])
    queue.add()
    assert said(queue.add()).starts_in_seconds == pytest.approx(200, abs=1)


def test_a_job_that_was_at_work_before_has_only_its_rest_to_do(queue: Queue) -> None:
    queue.finished(600)
    online("w", [gpu()])
    queue.add(step=75, total_steps=100)
    assert said(queue.add()).starts_in_seconds == pytest.approx(150, abs=1)


def test_no_time_is_said_where_none_is_known(queue: Queue) -> None:
    running(queue, online("w", [gpu()]), None)
    assert said(queue.add()).starts_in_seconds is None


def test_no_time_is_said_for_what_is_behind_a_job_of_unknown_length(queue: Queue) -> None:
    online("w", [gpu()])
    assert said(queue.add()).starts_in_seconds == 0
    assert said(queue.add()).starts_in_seconds is None


def test_no_time_is_said_for_what_fits_nowhere(queue: Queue) -> None:
    queue.finished(600)
    online("w", [gpu(free=1.0, total=1.0)])
    assert said(queue.add(least_memory_bytes=9 * GIB)).starts_in_seconds is None


def test_a_wished_time_is_the_earliest(queue: Queue) -> None:
    queue.finished(600)
    online("w", [gpu()])
    told = said(queue.add(run_after=timezone.now() + timedelta(hours=2)))
    assert told.starts_in_seconds == pytest.approx(7200, abs=2)


def test_the_teams_limit_delays_its_next_job(queue: Queue) -> None:
    queue.cast.team.jobs_at_once = 1
    queue.cast.team.save()
    queue.finished(600)
    running(queue, online("w", [processor()], slots=4), 240)
    assert said(queue.add()).starts_in_seconds == pytest.approx(240, abs=2)
    assert said(queue.add()).starts_in_seconds == pytest.approx(840, abs=2)


# ---- What it costs -----------------------------------------------------------------------------------


def test_a_long_queue_costs_as_many_queries_as_a_short_one(queue: Queue) -> None:
    for number in range(4):
        online(f"w{number}", [gpu(index) for index in range(8)])
    fill(queue.cast, queue.base_model, queue.version, 1000)
    jobs = list(Job.objects.all())
    with CaptureQueriesContext(
        connection,
    ) as asked:
        found = outlook(jobs)
    assert len(found) == 1000
    assert sorted(each.queue_position for each in found.values()) == list(range(1, 1001))
    assert len(asked) == QUERIES
    begun = time.thread_time()
    outlook(jobs)
    assert time.thread_time() - begun < 0.15


def test_the_list_of_jobs_asks_nothing_per_job(queue: Queue) -> None:
    online("w", [gpu()])
    api = api_of(queue.cast.bob, queue.cast.team)
    fill(queue.cast, queue.base_model, queue.version, 2)
    api("get", "jobs")  # the first use of a token is noted
    with CaptureQueriesContext(connection) as few:
        api("get", "jobs?limit=200")
    fill(queue.cast, queue.base_model, queue.version, 75)
    with CaptureQueriesContext(connection) as many:
        items = api("get", "jobs?limit=200").json()["items"]
    assert len(items) >= 50
    assert all(item["queue_position"] and item["why_waiting"] for item in items)
    assert len(many) == len(few)


def test_workers_that_hear_no_broker_are_named_as_the_reason(queue: Queue) -> None:
    """With nothing but deaf workers online, list, page and launch go on and say so."""
    online("w", [gpu()], report={"deaf": True})
    job = queue.add()
    assert said(job).code == "deaf"
    assert "hears the broker" in said(job).why
    answer = api_of(queue.cast.bob, queue.cast.team)("get", "jobs")
    assert answer.status_code == 200
    assert answer.json()["items"][0]["waiting_code"] == "deaf"
