"""Many claimers at one moment: each job is handed out once."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from tests.conftest import Cast, make_job
from webapp.basemodels.models import BaseModel
from webapp.datasets.models import DatasetVersion
from webapp.jobs.models import Attempt, Job, StateChange, Worker
from webapp.jobs.scheduling import Claim, claim

CLAIMERS = 8
JOBS = 500


def fill(cast: Cast, base_model: BaseModel, version: DatasetVersion, jobs: int) -> None:
    """Queued jobs of two teams and three people."""
    first = make_job(cast, base_model, version)
    owners = [(cast.team, cast.bob), (cast.team, cast.alice), (cast.other_team, cast.charlie)]
    values = {field.attname: getattr(first, field.attname) for field in Job._meta.fields if field.attname != "id"}
    more = []
    for number in range(1, jobs):
        team, person = owners[number % 3]
        own = {"team_id": team.pk, "created_by_id": person.pk, "queue_position": float(number)}
        more.append(Job(**values | own | {"priority": number % 2}))
    Job.objects.bulk_create(more)


def claim_all(worker: Worker, barrier: Barrier) -> list[int]:
    """One claim after the other until there is nothing more; the ids of the jobs."""
    taken: list[int] = []
    barrier.wait(timeout=60)
    while True:
        try:
            claimed = claim(worker, Claim(f"{worker.pk}-{len(taken)}", worker.boot_id, 0, 1, []))
        finally:
            connection.close()  # as at the end of a request
        if claimed is None:
            return taken
        assert claimed.attempt
        taken.append(claimed.attempt.job_id)


@pytest.mark.slow
@pytest.mark.both_databases
@pytest.mark.fault(11)
@pytest.mark.django_db(transaction=True)
def test_eight_claimers_at_once_get_five_hundred_jobs_each_once(
    cast: Cast, base_model: BaseModel, version: DatasetVersion
) -> None:
    fill(cast, base_model, version, JOBS)
    workers = [
        Worker.objects.create(name=f"w{number}", boot_id="b", last_hello_at=timezone.now())
        for number in range(CLAIMERS)
    ]
    barrier = Barrier(CLAIMERS)
    with ThreadPoolExecutor(CLAIMERS) as threads:
        taken = [each for found in threads.map(lambda worker: claim_all(worker, barrier), workers) for each in found]
    assert Counter(taken) == Counter(Job.objects.values_list("pk", flat=True))
    assert Attempt.objects.count() == StateChange.objects.filter(after="starting").count() == JOBS
    assert set(Attempt.objects.values_list("number", flat=True)) == {1}


@pytest.mark.fault(11)
@pytest.mark.django_db(transaction=True)
def test_claimers_at_once_keep_to_the_teams_limit(cast: Cast, base_model: BaseModel, version: DatasetVersion) -> None:
    cast.team.jobs_at_once = 3
    cast.team.save()
    for _ in range(12):
        make_job(cast, base_model, version)
    workers = [Worker.objects.create(name=f"w{number}", boot_id="b") for number in range(CLAIMERS)]
    barrier = Barrier(CLAIMERS)
    with ThreadPoolExecutor(CLAIMERS) as threads:
        taken: list[Any] = [*threads.map(lambda worker: claim_all(worker, barrier), workers)]
    assert sum(len(each) for each in taken) == 3
