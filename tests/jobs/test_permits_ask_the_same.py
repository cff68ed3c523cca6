"""Hello, the sweep and the claim ask one question: no permit is sent for which a claim gets nothing."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any

import pytest
from django.utils import timezone

from tests.jobs.queue import GIB, Queue, gpu, online, processor
from webapp.jobs import reconciling, scheduling
from webapp.jobs.fitting import Offer, offers_of, within
from webapp.jobs.models import Inspection, Job, Worker
from webapp.jobs.outlook import Look, look
from webapp.jobs.queue_state import QueuedJob
from webapp.jobs.why_waiting import is_barred


def random_job(queue: Queue, dice: Random) -> None:
    now = timezone.now()
    team, person = dice.choice([(queue.cast.team, queue.cast.bob), (queue.cast.other_team, queue.cast.charlie)])
    queue.add(
        team=team,
        created_by=person,
        pool=dice.choice(["default", "default", "h100", "elsewhere"]),
        priority=dice.choice([0, 0, 5]),
        gpus=dice.choice([1, 1, 2, 3]),
        least_memory_bytes=dice.choice([None, GIB, 20 * GIB, 40 * GIB]),
        run_after=dice.choice([None, None, now + timedelta(hours=1)]),
    )


def random_worker(queue: Queue, dice: Random, name: str) -> Worker:
    devices = [processor()] if dice.random() < 0.3 else [gpu(index) for index in range(dice.randint(1, 3))]
    worker = online(name, devices, slots=max(2, len(devices)) if devices[0]["kind"] == "cpu" else None)
    worker.report["labels"] = dice.choice([[], ["h100"]])
    worker.team = dice.choice([None, None, queue.cast.team])
    worker.drain = dice.random() < 0.1
    worker.save()
    return worker


@pytest.mark.parametrize("seed", range(12))
def test_work_waits_exactly_when_a_claim_would_get_something(queue: Queue, seed: int) -> None:
    """Random queues and workers; jobs start, end and reserve; the two answers never differ."""
    dice = Random(seed)
    queue.cast.team.jobs_at_once = dice.choice([None, 2])
    queue.cast.team.save()
    workers = [random_worker(queue, dice, f"w{number}") for number in range(3)]
    for _ in range(12):
        random_job(queue, dice)
    at_work: list[Any] = []
    for _ in range(25):
        worker = dice.choice(workers)
        free = list(offers_of([worker])[worker.pk].free)
        waits = scheduling.work_waits(worker)
        if not free:
            assert not waits
        else:
            attempt = queue.claim(worker, free)
            assert waits == (attempt is not None)
            at_work += [attempt] if attempt else []
        if at_work and dice.random() < 0.3:
            queue.finish(at_work.pop(dice.randrange(len(at_work))))


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of workers for which the sweep would publish a permit; no broker runs in this test."""
    names: list[str] = []
    monkeypatch.setattr(reconciling, "wake", lambda worker: names.append(worker.name))
    return names


def test_the_sweep_wakes_only_workers_that_something_fits(queue: Queue, woken: list[str]) -> None:
    online("small", [gpu(free=2.0)])
    online("large", [gpu()])
    online("suspended", [gpu()], suspended_at=timezone.now())
    queue.add(least_memory_bytes=8 * GIB)
    reconciling.send_permits()
    assert woken == ["large"]


def test_the_sweep_wakes_nobody_for_a_job_whose_time_has_not_come(queue: Queue, woken: list[str]) -> None:
    online("w", [gpu()])
    job = queue.add(run_after=timezone.now() + timedelta(hours=1))
    reconciling.send_permits()
    assert woken == []
    Job.objects.filter(pk=job.pk).update(run_after=timezone.now())
    reconciling.send_permits()
    assert woken == ["w"]


def test_a_worker_kept_free_is_woken_for_inspections_alone(queue: Queue, woken: list[str]) -> None:
    worker = online("w", [gpu(0), gpu(1)])
    queue.add()
    queue.start(worker, [gpu(0), gpu(1)])
    queue.add(gpus=2)
    queue.add()
    assert queue.claim(worker, [gpu(1)]) is None
    reconciling.send_permits()
    assert woken == []
    Inspection.objects.create(question={"kind": "shape"})
    reconciling.send_permits()
    assert woken == ["w"]


@pytest.mark.parametrize("seed", range(12))
def test_what_is_claimed_is_the_head_of_the_outlook(queue: Queue, seed: int) -> None:
    """The list that people see and the claim read one rule, the limits of teams too."""
    dice = Random(100 + seed)
    queue.cast.team.jobs_at_once, queue.cast.team.gpu_hours_a_month = (
        dice.choice([None, 1, 2]),
        dice.choice([None, 0.0]),
    )
    queue.cast.team.save()
    workers = [random_worker(queue, dice, f"w{number}") for number in range(3)]
    for _ in range(12):
        random_job(queue, dice)
    Job.objects.update(gpus=1)
    for _ in range(12):
        worker = dice.choice(workers)
        offer = offers_of([worker])[worker.pk]
        if not offer.free:
            continue
        seen = look()
        able = [job.id for job in seen.ordered if may_start(seen, job, worker, offer)]
        attempt = queue.claim(worker, list(offer.free))
        assert (attempt is None) == (not able)
        if attempt and able[0] == seen.ordered[0].id:
            assert attempt.job_id == able[0]


def may_start(seen: Look, job: QueuedJob, worker: Worker, offer: Offer) -> bool:
    """By what the outlook knows."""
    here = not is_barred(seen.queue, job, seen.now) and worker.pk in {each.pk for each in seen.queue.fitting(job)}
    limits = seen.queue.limits.get(job.team_id)
    closed = limits is not None and limits.closed_on(worker.pk, offer.cuda)
    return here and not closed and within(offer.levels, job.gpus, job.least_memory_bytes)
