"""Which worker gets which job: pool, team, time, memory, several GPUs, limits, and the worker that failed it."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from django.utils import timezone

from tests.jobs.queue import GIB, Queue, gpu, online, processor
from webapp.jobs import reporting, scheduling, transitions
from webapp.jobs.fair_share import shares_now
from webapp.jobs.fitting import offers_of
from webapp.jobs.models import Attempt, Inspection, Job, Worker, serves_nobody


def test_a_worker_takes_jobs_of_its_pool_and_of_its_labels(queue: Queue) -> None:
    worker = online("w", [gpu()], slots=4, pool="fast", report={"labels": ["h100"]})
    queue.add("default")
    queue.add("by label", pool="h100")
    queue.add("by pool", pool="fast")
    assert queue.names(worker, 3) == ["by label", "by pool"]


def test_a_teams_worker_takes_no_other_teams_job(queue: Queue) -> None:
    worker = online("w", [gpu()], team=queue.cast.other_team)
    queue.add()
    assert queue.claim(worker) is None
    assert not scheduling.work_waits(worker)


@pytest.mark.parametrize("field", ["run_after", "not_before"])
def test_a_job_waits_until_its_time_has_come(queue: Queue, field: str) -> None:
    worker, now = online("w", [gpu()]), timezone.now()
    later: dict[str, Any] = {field: now + timedelta(hours=1)}
    job = queue.add(**later)
    assert queue.claim(worker) is None
    assert not scheduling.work_waits(worker)
    Job.objects.filter(pk=job.pk).update(**{field: now - timedelta(seconds=1)})
    assert scheduling.work_waits(worker)
    assert queue.claim(worker)


@pytest.mark.parametrize(
    "state",
    [
        {"drain": True},
        {"suspended_at": timezone.now()},
        {"revoked_at": timezone.now()},
        {"report": {"draining": True}},
    ],
    ids=["drained", "suspended", "revoked", "leaving"],
)
def test_a_worker_that_shall_take_no_more_gets_nothing(queue: Queue, state: dict[str, Any]) -> None:
    worker = online("w", [gpu()], **state)
    queue.add()
    Inspection.objects.create(question={"kind": "shape"})
    assert queue.claim(worker) is None
    assert not scheduling.work_waits(worker)
    assert not Attempt.objects.exists()


@pytest.mark.parametrize("device", [gpu, processor])
def test_a_job_needs_a_device_with_memory_enough_free(queue: Queue, device: Any) -> None:
    small, large = online("small", [device(free=6.0)]), online("large", [device(free=8.0)])
    queue.add(least_memory_bytes=7 * GIB)
    assert queue.claim(small) is None
    assert not scheduling.work_waits(small)
    assert scheduling.work_waits(large)
    assert queue.claim(large)


def test_a_smaller_job_goes_to_the_worker_that_the_first_does_not_fit(queue: Queue) -> None:
    small = online("small", [gpu(free=6.0)])
    queue.add("large", least_memory_bytes=7 * GIB)
    queue.add("small", least_memory_bytes=2 * GIB)
    assert queue.names(small, 1) == ["small"]


def test_a_job_without_a_known_need_fits_everywhere(queue: Queue) -> None:
    queue.add()
    assert queue.claim(online("w", [gpu(free=0.1)]))


def test_four_bits_go_to_a_worker_that_has_the_package(queue: Queue) -> None:
    without = online("without", [gpu()], slots=2, report={"lacks": ["bitsandbytes"]})
    able = online("able", [gpu()])
    queue.add("four bits", method="qlora")
    queue.add("plain")
    assert queue.names(without, 2) == ["plain"]
    assert not scheduling.work_waits(without)
    assert queue.names(able, 1) == ["four bits"]


def test_a_job_for_two_gpus_gets_two(queue: Queue) -> None:
    worker = online("w", [gpu(0), gpu(1), gpu(2)])
    queue.add(gpus=2)
    attempt = queue.start(worker, [gpu(1), gpu(0), gpu(2)])
    assert [device["index"] for device in attempt.devices] == [1, 0]


def test_a_worker_of_the_older_protocol_gets_no_job_for_two_gpus(queue: Queue) -> None:
    worker = online("w", [gpu(0), gpu(1)], report={"protocol": 1})
    queue.add("two", gpus=2)
    queue.add("one")
    assert queue.names(worker, 2) == ["one"]


# ---- Slots kept free for a job that needs several --------------------------------------------------


def pair(queue: Queue, name: str = "pair") -> tuple[Worker, Attempt]:
    """A worker with two GPUs, one of them at work."""
    worker = online(name, [gpu(0), gpu(1)])
    queue.add("before")
    return worker, queue.start(worker, [gpu(0), gpu(1)])


def reserved_on(job: Job) -> int | None:
    return Job.objects.values_list("reserved_on", flat=True).get(pk=job.pk)


def test_the_first_in_line_keeps_a_worker_free_until_it_fits(queue: Queue) -> None:
    worker, running = pair(queue)
    wide = queue.add("wide", gpus=2)
    queue.add("narrow")
    assert queue.claim(worker, [gpu(1)]) is None
    assert reserved_on(wide) == worker.pk
    assert queue.claim(worker, [gpu(1)]) is None
    queue.finish(running)
    attempt = queue.claim(worker, [gpu(0), gpu(1)])
    assert attempt
    assert attempt.job == wide
    assert len(attempt.devices) == 2
    assert reserved_on(wide) is None


def test_no_permit_is_sent_for_slots_that_are_kept_free(queue: Queue) -> None:
    worker, running = pair(queue)
    queue.add("wide", gpus=2)
    queue.add("narrow")
    assert not scheduling.work_waits(worker)
    queue.claim(worker, [gpu(1)])
    assert not scheduling.work_waits(worker)
    queue.finish(running)
    assert scheduling.work_waits(worker)


def test_inspections_go_on_while_slots_are_kept_free(queue: Queue) -> None:
    worker, _ = pair(queue)
    queue.add("wide", gpus=2)
    queue.claim(worker, [gpu(1)])
    Inspection.objects.create(question={"kind": "shape"})
    assert scheduling.work_waits(worker)
    claimed = scheduling.claim(worker, scheduling.Claim("i", worker.boot_id, 1, 1, [gpu(1)]))
    assert claimed
    assert claimed.inspection


def test_a_job_keeps_one_worker_free_and_no_second(queue: Queue) -> None:
    first, _ = pair(queue, "first")
    second, _ = pair(queue, "second")
    wide = queue.add("wide", gpus=2)
    queue.add("narrow")
    assert queue.claim(first, [gpu(1)]) is None
    assert queue.names(second, 1) == ["narrow"]
    assert reserved_on(wide) == first.pk


def test_another_worker_with_room_enough_takes_it_meanwhile(queue: Queue) -> None:
    first, _ = pair(queue)
    wide = queue.add("wide", gpus=2)
    queue.claim(first, [gpu(1)])
    idle = online("idle", [gpu(0), gpu(1)])
    attempt = queue.claim(idle, [gpu(0), gpu(1)])
    assert attempt
    assert attempt.job == wide
    queue.add("narrow")
    assert queue.claim(first, [gpu(1)])


@pytest.mark.parametrize(
    "gone",
    [
        {"last_hello_at": timezone.now() - timedelta(minutes=5)},
        {"drain": True},
        {"suspended_at": timezone.now()},
        {"revoked_at": timezone.now()},
    ],
    ids=["offline", "draining", "suspended", "revoked"],
)
def test_a_reservation_moves_on_when_its_worker_is_gone(queue: Queue, gone: dict[str, Any]) -> None:
    first, _ = pair(queue, "first")
    second, _ = pair(queue, "second")
    wide = queue.add("wide", gpus=2)
    queue.claim(first, [gpu(1)])
    Worker.objects.filter(pk=first.pk).update(**gone)
    assert queue.claim(second, [gpu(1)]) is None
    assert reserved_on(wide) == second.pk


@pytest.mark.parametrize("action", ["pause", "cancel"])
def test_a_paused_or_cancelled_job_lets_go_of_its_worker(queue: Queue, action: str) -> None:
    worker, _ = pair(queue)
    wide = queue.add("wide", gpus=2)
    queue.add("narrow")
    queue.claim(worker, [gpu(1)])
    transitions.act(wide, queue.cast.bob, action)
    assert reserved_on(wide) is None
    assert queue.names(worker, 1) == ["narrow"]


def test_a_job_of_higher_priority_goes_before_what_is_kept_free(queue: Queue) -> None:
    worker, _ = pair(queue)
    wide = queue.add("wide", gpus=2)
    queue.claim(worker, [gpu(1)])
    queue.add("urgent", priority=5)
    attempt = queue.claim(worker, [gpu(1)])
    assert attempt
    assert attempt.job.name == "urgent"
    assert reserved_on(wide) is None


def test_fair_shares_do_not_starve_the_one_that_waits_for_two(queue: Queue) -> None:
    """Others free one slot at a time and have the better share each time: it still gets its turn."""
    worker = online("pair", [gpu(0), gpu(1)])
    other: dict[str, Any] = {"team": queue.cast.other_team, "created_by": queue.cast.charlie}
    elsewhere = online("elsewhere", [gpu(0)])
    queue.add("weather elsewhere")
    queue.start(elsewhere)
    running = []
    for number in range(2):
        queue.add(f"other {number}", **other)
        running.append(queue.start(worker, [gpu(number)]))
    wide = queue.add("wide", gpus=2)
    queue.finish(running[0])
    assert queue.claim(worker, [gpu(0)]) is None
    for number in range(5):
        queue.add(f"more {number}", **other)
        assert queue.claim(worker, [gpu(0)]) is None
    queue.finish(running[1])
    attempt = queue.claim(worker, [gpu(1), gpu(0)])
    assert attempt
    assert attempt.job == wide


def test_nothing_is_kept_free_for_a_job_that_will_never_fit(queue: Queue) -> None:
    worker, _ = pair(queue)
    queue.add("four", gpus=4)
    queue.add("large", gpus=2, least_memory_bytes=100 * GIB)
    queue.add("narrow")
    assert queue.names(worker, 1) == ["narrow"]


def test_a_reservation_falls_when_someone_else_uses_the_memory(queue: Queue) -> None:
    worker, running = pair(queue)
    queue.add("wide", gpus=2, least_memory_bytes=20 * GIB)
    queue.add("narrow")
    assert queue.claim(worker, [gpu(1)]) is None
    queue.finish(running)
    attempt = queue.claim(worker, [gpu(1), gpu(0, free=2.0)])
    assert attempt
    assert attempt.job.name == "narrow"


def test_two_wide_jobs_on_two_workers_both_end_up_running(queue: Queue) -> None:
    first, one = pair(queue, "first")
    second, two = pair(queue, "second")
    queue.add("wide 1", gpus=2)
    queue.add("wide 2", gpus=2)
    assert queue.claim(first, [gpu(1)]) is None
    assert queue.claim(second, [gpu(1)]) is None
    queue.finish(one)
    queue.finish(two)
    both = [queue.claim(worker, [gpu(0), gpu(1)]) for worker in (second, first)]
    assert sorted(attempt.job.name for attempt in both if attempt) == ["wide 1", "wide 2"]


# ---- Limits of the team ------------------------------------------------------------------------------


def test_no_more_jobs_at_once_than_the_team_may(queue: Queue) -> None:
    queue.cast.team.jobs_at_once = 2
    queue.cast.team.save()
    worker = online("w", [processor()], slots=9)
    for number in range(3):
        queue.add(f"weather {number}")
    queue.add("other", team=queue.cast.other_team, created_by=queue.cast.charlie)
    assert queue.names(worker, 4) == ["weather 0", "other", "weather 1"]
    assert not scheduling.work_waits(worker)
    queue.finish(Attempt.objects.get(job__name="weather 0"))
    assert scheduling.work_waits(worker)
    assert queue.names(worker, 1) == ["weather 2"]


def test_used_up_gpu_hours_keep_a_job_from_gpus_but_not_from_a_cpu(queue: Queue) -> None:
    queue.cast.team.gpu_hours_a_month = 0.5
    queue.cast.team.save()
    start_of_month = timezone.now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    if timezone.now() - start_of_month < timedelta(hours=1):
        pytest.skip("within the first hour of a month there is no room for a used hour")
    queue.finished(1000, gpus=2)
    queue.add("next")
    with_gpu, without = online("gpu", [gpu()]), online("cpu", [processor()])
    assert queue.claim(with_gpu) is None
    assert not scheduling.work_waits(with_gpu)
    assert queue.claim(without)


def test_hours_of_an_earlier_month_do_not_count(queue: Queue) -> None:
    queue.cast.team.gpu_hours_a_month = 0.5
    queue.cast.team.save()
    queue.finished(20_000, ago=timedelta(days=32))
    queue.add("next")
    assert queue.claim(online("gpu", [gpu()]))


# ---- Another worker after one that failed ---------------------------------------------------------------


def failed_once(queue: Queue, worker: Worker) -> Job:
    queue.add("unlucky")
    return transitions.end_attempt(queue.start(worker), "worker", "released", "trainer_killed")


def test_after_a_crash_the_job_prefers_another_worker(queue: Queue) -> None:
    first = online("first", [gpu()])
    failed_once(queue, first)
    second = online("second", [gpu()])
    Job.objects.update(not_before=None)
    assert queue.claim(first) is None
    assert not scheduling.work_waits(first)
    assert scheduling.work_waits(second)
    assert queue.claim(second)


@pytest.mark.parametrize("other", ["none", "busy", "away", "draining", "too small"])
def test_it_goes_back_to_the_same_worker_where_no_other_can_take_it(queue: Queue, other: str) -> None:
    first = online("first", [gpu()])
    job = failed_once(queue, first)
    Job.objects.update(not_before=None, least_memory_bytes=GIB)
    if other != "none":
        second = online("second", [gpu(free=0.5 if other == "too small" else 24.0)])
        if other == "away":
            Worker.objects.filter(pk=second.pk).update(last_hello_at=None)
        if other == "draining":
            Worker.objects.filter(pk=second.pk).update(drain=True)
        if other == "busy":
            queue.add("ahead", priority=9)
            queue.start(second)
    attempt = queue.claim(first)
    assert attempt
    assert attempt.job == job


def test_an_end_that_is_nobodys_fault_does_not_blame_the_worker(queue: Queue) -> None:
    first = online("first", [gpu()])
    queue.add()
    attempt = queue.claim(first)
    assert attempt
    reporting.acknowledge(attempt)
    transitions.end_attempt(attempt, "worker", "released", "drained")
    online("second", [gpu()])
    assert queue.claim(first)


# ---- One worker kept free a team ----------------------------------------------------------------------


def stay_online() -> None:
    """However slow this machine is."""
    Worker.objects.update(last_hello_at=timezone.now() + timedelta(hours=1))


def test_one_idle_teams_wide_jobs_keep_one_worker_free_and_no_more(queue: Queue) -> None:
    """Four workers of two GPUs, one GPU of each at work: the other team gets the free ones of three."""
    pairs = [pair(queue, f"pair {number}") for number in range(4)]
    other: dict[str, Any] = {"team": queue.cast.other_team, "created_by": queue.cast.charlie}
    stay_online()
    for number in range(4):
        queue.add(f"wide {number}", gpus=2, **other)
    for number in range(4):
        queue.add(f"narrow {number}")
    got = [queue.claim(worker, [gpu(1)]) for worker, _ in pairs]
    assert got[0] is None
    assert [attempt.job.name for attempt in got if attempt] == ["narrow 0", "narrow 1", "narrow 2"]
    assert Job.objects.exclude(reserved_on=None).count() == 1


@pytest.mark.parametrize("seed", range(8))
def test_no_job_ever_waits_behind_two_reservations_of_one_team(queue: Queue, seed: int) -> None:
    """Random claims and ends of wide and narrow jobs of two teams: one worker a team is kept free, at most."""
    dice = Random(seed)
    workers = [online(f"w{number}", [gpu(0), gpu(1), gpu(2)]) for number in range(3)]
    stay_online()
    teams = [(queue.cast.team, queue.cast.bob), (queue.cast.other_team, queue.cast.charlie)]
    at_work: list[Attempt] = []
    for number in range(30):
        team, person = dice.choice(teams)
        queue.add(f"job {number}", gpus=dice.choice([1, 1, 2, 3]), team=team, created_by=person)
        worker = dice.choice(workers)
        if free := list(offers_of([worker])[worker.pk].free):
            attempt = queue.claim(worker, free)
            at_work += [attempt] if attempt else []
        if at_work and dice.random() < 0.3:
            queue.finish(at_work.pop(dice.randrange(len(at_work))))
        kept = Counter(Job.objects.exclude(reserved_on=None).values_list("team_id", flat=True))
        assert all(count == 1 for count in kept.values()), kept


def test_a_worker_kept_free_counts_as_its_teams_work(queue: Queue) -> None:
    first, _ = pair(queue, "first")
    other: dict[str, Any] = {"team": queue.cast.other_team, "created_by": queue.cast.charlie}
    queue.add("wide", gpus=2, **other)
    assert queue.claim(first, [gpu(1)]) is None
    assert shares_now().of_team(queue.cast.other_team.pk)[0] == 2
    queue.add("weather")
    queue.add("other", **other)
    assert queue.names(online("single", [gpu()]), 1) == ["weather"]


def test_a_reservation_uses_the_teams_one_job_at_once_and_starts_in_its_place(queue: Queue) -> None:
    queue.cast.other_team.jobs_at_once = 1
    queue.cast.other_team.save()
    first, running = pair(queue, "first")
    other: dict[str, Any] = {"team": queue.cast.other_team, "created_by": queue.cast.charlie}
    wide = queue.add("wide", gpus=2, **other)
    queue.add("narrow", **other)
    assert queue.claim(first, [gpu(1)]) is None
    assert queue.claim(online("single", [gpu()])) is None
    queue.finish(running)
    attempt = queue.claim(first, [gpu(0), gpu(1)])
    assert attempt
    assert attempt.job == wide


@pytest.mark.parametrize(
    ("fields", "takes_jobs", "serving"),
    [
        ({}, True, True),
        ({"drain": True}, False, False),
        ({"revoked_at": timezone.now()}, False, False),
        ({"suspended_at": timezone.now()}, False, False),
        ({"report": {"draining": True}}, False, False),
        ({"report": {"draining": False, "deaf": False}}, True, True),
        ({"report": {"deaf": True}}, True, False),
        ({"last_hello_at": None}, True, False),
        ({"last_hello_at": timezone.now() - timedelta(hours=1)}, True, False),
    ],
)
def test_a_worker_and_the_database_say_the_same_of_whether_it_serves(
    worker: Worker, fields: dict[str, Any], takes_jobs: bool, serving: bool
) -> None:
    Worker.objects.update(**{"last_hello_at": timezone.now(), **fields})
    worker.refresh_from_db()
    assert (worker.takes_jobs, worker.serving) == (takes_jobs, serving)
    assert Worker.objects.taking_jobs().exists() is takes_jobs
    assert Worker.objects.filter(serves_nobody()).exists() is not serving
