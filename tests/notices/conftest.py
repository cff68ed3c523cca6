"""Jobs that end in every way, and what people chose to hear of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from tests.conftest import claim_next
from webapp.accounts.models import User
from webapp.jobs import reporting, transitions
from webapp.jobs.models import Artifact, Attempt, Job, Worker
from webapp.notices.models import NoticeChoice
from webapp.notices.sealing import seal

SECRET = "delta_h_testtest_not-a-real-secret-but-long-enough"


def choose(user: User, **fields: Any) -> NoticeChoice:
    """Save what a person wants to hear of; a webhook gets the known secret."""
    teams = fields.pop("teams", [])
    if fields.get("webhook_url"):
        fields.setdefault("sealed_secret", seal(SECRET))
    choice, _ = NoticeChoice.objects.update_or_create(user=user, defaults=fields)
    choice.teams.set(teams)
    return choice


def browser_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def attempt(job: Job, worker: Worker) -> Attempt:
    """Bob's job, at work."""
    claimed = claim_next(worker)
    assert claimed
    assert claimed.attempt
    reporting.acknowledge(claimed.attempt)
    return claimed.attempt


@pytest.fixture
def succeed(attempt: Attempt) -> Callable[[], Job]:
    def end() -> Job:
        Artifact.objects.create(job=attempt.job, attempt=attempt, bytes=1, files=[], manifest={})
        return transitions.end_attempt(attempt, "worker w1", "succeeded")

    return end
