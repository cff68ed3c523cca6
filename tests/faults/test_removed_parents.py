"""Removing a team, dataset, base model or person whose job is queued or running: refused, or cancelled first."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from tests.conftest import Cast, claim_next
from webapp.accounts.models import User
from webapp.jobs import reporting, transitions
from webapp.jobs.models import Job, Worker

pytestmark = pytest.mark.fault(59)


@pytest.fixture
def admin(cast: Cast) -> Client:
    browser = Client()
    browser.force_login(cast.root)
    return browser


@pytest.mark.parametrize("room", ["accounts/team", "datasets/dataset", "basemodels/basemodel", "jobs/worker"])
@pytest.mark.parametrize("running", [False, True])
def test_what_a_job_needs_is_not_removed(admin: Client, job: Job, worker: Worker, room: str, running: bool) -> None:
    claimed = claim_next(worker)
    assert claimed
    assert claimed.attempt
    if running:
        reporting.acknowledge(claimed.attempt)
    parents: dict[str, Any] = {
        "accounts/team": job.team,
        "datasets/dataset": job.dataset_version.dataset,
        "basemodels/basemodel": job.base_model,
        "jobs/worker": worker,
    }
    parent = parents[room]
    answer = admin.post(f"/admin/{room}/{parent.pk}/delete/", {"post": "yes"})
    assert answer.status_code == 200
    assert "would require deleting the following protected related objects" in answer.content.decode()
    parent.refresh_from_db()
    before = Job.objects.get().state
    action = {"action": "delete_selected", "_selected_action": [parent.pk], "post": "yes"}
    assert "protected related objects" in admin.post(f"/admin/{room}/", action).content.decode()
    parent.refresh_from_db()
    assert Job.objects.get().state == before


def test_a_removed_persons_queued_job_is_cancelled_with_the_reason(admin: Client, job: Job, cast: Cast) -> None:
    answer = admin.post(f"/admin/accounts/user/{cast.bob.pk}/delete/", {"post": "yes"})
    assert answer.status_code == 302, answer.content.decode()
    job.refresh_from_db()
    assert not User.objects.filter(username="bob").exists()
    assert (job.state, job.reason_code, job.created_by) == ("cancelled", "cancelled_with_parent", None)
    assert "the account of bob was removed" in job.reason_sentence


def test_a_removed_persons_running_job_ends_through_its_attempt(job: Job, cast: Cast, worker: Worker) -> None:
    claimed = claim_next(worker)
    assert claimed
    assert claimed.attempt
    cast.bob.delete()
    job.refresh_from_db()
    assert (job.state, job.wish) == ("starting", "cancel")
    reporting.acknowledge(claimed.attempt)
    transitions.end_attempt(claimed.attempt, "worker w1", "cancelled", "cancelled_by_user", "Cancelled on request.")
    job.refresh_from_db()
    assert (job.state, job.reason_code) == ("cancelled", "cancelled_with_parent")
    assert "the account of bob was removed" in job.reason_sentence
