"""The admin's tables open, and its actions go through the one transition function."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.test import Client

from tests.conftest import Cast
from webapp.jobs.models import Job, Worker


@pytest.fixture
def root(cast: Cast) -> Client:
    client = Client()
    client.force_login(cast.root)
    return client


@pytest.mark.parametrize("model", list(admin.site._registry), ids=lambda model: model._meta.label)
def test_every_table_opens_and_can_be_searched(root: Client, job: Job, worker: Worker, model: type) -> None:
    address = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"  # type: ignore[attr-defined]
    assert root.get(address, {"q": "a"}).status_code in (200, 302)
    assert root.get(address).status_code == 200


def test_a_job_is_looked_at_but_not_changed_by_hand(root: Client, job: Job) -> None:
    address = f"/admin/jobs/job/{job.pk}/change/"
    assert root.get(address).status_code == 200
    assert root.post(address, {"state": "succeeded"}).status_code == 403
    job.refresh_from_db()
    assert job.state == "queued"


def test_jobs_are_cancelled_and_retried_from_the_list(root: Client, job: Job) -> None:
    for action in ("cancel_jobs", "retry_jobs"):
        root.post("/admin/jobs/job/", {"action": action, "_selected_action": [job.pk]})
    job.refresh_from_db()
    assert job.state == "cancelled"
    assert job.history.get(after="cancelled").actor == "root"
    assert Job.objects.get(retry_of=job).state == "queued"


def test_members_do_not_get_in(cast: Cast, job: Job) -> None:
    client = Client()
    client.force_login(cast.alice)
    assert client.get("/admin/jobs/job/").status_code == 302
