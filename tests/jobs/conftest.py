"""What tests of the queue share."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from tests.conftest import Cast
from tests.jobs.queue import Queue
from tests.jobs.worker_calls import WorkerCalls
from webapp.basemodels.models import BaseModel
from webapp.datasets.models import DatasetVersion
from webapp.jobs import enrolling
from webapp.jobs.models import Job


@pytest.fixture
def queue(cast: Cast, base_model: BaseModel, version: DatasetVersion) -> Queue:
    return Queue(cast, base_model, version)


@pytest.fixture
def calls(db: Any) -> WorkerCalls:
    _, key = enrolling.make_key("w1")
    answer = Client(REMOTE_ADDR="127.0.0.1").post(
        "/api/worker/enrol", {"key": key, "hostname": "h1", "version": "0", "protocol": 1}, "application/json"
    )
    calls = WorkerCalls(answer.json()["token"])
    calls.hello()
    return calls


@pytest.fixture
def claimed(calls: WorkerCalls, job: Job) -> dict[str, Any]:
    answer: dict[str, Any] = calls.claim().json()
    calls.post(f"attempts/{answer['attempt']}/ack", token=answer["token"])
    return answer
