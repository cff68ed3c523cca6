"""After a restore from a backup: what ran in it ends uncounted, and each job goes where its person had wished it."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import call_command

from tests.conftest import Cast, claim_next, make_job
from webapp.basemodels.models import BaseModel
from webapp.datasets.models import DatasetVersion
from webapp.jobs import reporting, transitions
from webapp.jobs.models import Attempt, Job, Worker


@pytest.fixture
def jobs(cast: Cast, base_model: BaseModel, version: DatasetVersion) -> list[Job]:
    """Running, running but to be cancelled, running but to be paused, starting, and queued."""
    made = [make_job(cast, base_model, version) for _ in range(5)]
    for number, job in enumerate(made[:4]):
        claimed = claim_next(Worker.objects.create(name=f"w{number}", boot_id="boot-1"))
        assert claimed
        assert claimed.attempt
        assert claimed.attempt.job_id == job.pk
        if number < 3:
            reporting.acknowledge(claimed.attempt)
    transitions.act(made[1], cast.bob, "cancel")
    transitions.act(made[2], cast.bob, "pause")
    return made


def test_a_restore_ends_what_was_running_and_counts_it_against_no_job(jobs: list[Job]) -> None:
    said = StringIO()
    call_command("restored", stdout=said)
    for job in jobs:
        job.refresh_from_db()
    assert [job.state for job in jobs] == ["queued", "cancelled", "paused", "queued", "queued"]
    assert [jobs[place].history.latest("pk").reason_code for place in (0, 3)] == ["site_restored"] * 2
    assert {job.infrastructure_ends for job in jobs} == {0}
    assert not Attempt.objects.exclude(state="ended").exists()
    assert "4 attempts ended" in said.getvalue()
    again = StringIO()
    call_command("restored", stdout=again)
    assert again.getvalue().startswith("0 attempts ended")
