"""Eight jobs of one lost worker end in the same instant, each in its own transaction: everything is told once."""

from __future__ import annotations

import threading

import pytest
from django.db import connection
from django.utils import timezone

from tests.conftest import Cast, claim_next, make_job
from tests.notices.conftest import choose
from webapp.basemodels.models import BaseModel
from webapp.datasets.models import DatasetVersion
from webapp.jobs import reporting, transitions
from webapp.jobs.models import Attempt, Worker
from webapp.notices.models import Delivery, Notice

JOBS = 8


@pytest.mark.slow
def test_one_silence_is_told_once_however_many_transactions_find_it(
    transactional_db: None, cast: Cast, base_model: BaseModel, version: DatasetVersion, worker: Worker
) -> None:
    for person in (cast.alice, cast.root):
        choose(person, worker_lost=True, teams=[cast.team], webhook_url="https://hooks.example.org/")
    Worker.objects.update(last_hello_at=timezone.now())
    attempts = [_at_work(cast, base_model, version, worker, number) for number in range(JOBS)]
    gate, faults = threading.Barrier(JOBS), []

    def lose(attempt: Attempt) -> None:
        gate.wait(30)
        try:
            transitions.end_attempt(attempt, "reconciler", "released", "worker_lost")
        except Exception as fault:
            faults.append(fault)
        finally:
            connection.close()

    threads = [threading.Thread(target=lose, args=(attempt,)) for attempt in attempts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert faults == []
    assert Notice.objects.filter(kind="worker_lost").count() == 2
    assert Notice.objects.filter(kind="interrupted").count() == 3 * JOBS
    assert Delivery.objects.count() == 2 + 2 * JOBS


def _at_work(cast: Cast, base_model: BaseModel, version: DatasetVersion, worker: Worker, number: int) -> Attempt:
    make_job(cast, base_model, version, name=f"job {number}", queue_position=number)
    claimed = claim_next(worker, f"claim-{number}")
    assert claimed
    assert claimed.attempt
    reporting.acknowledge(claimed.attempt)
    return claimed.attempt
