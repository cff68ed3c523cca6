"""A pool may have any allowed name: no permit for it harms the broker, and none stays there for ever."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from django.utils import timezone

from launcher.valkey import running
from tests.conftest import Api
from tests.jobs.queue import gpu, online
from tests.workers.conftest import until
from webapp import broker
from webapp.basemodels.models import BaseModel
from webapp.celery import app
from webapp.datasets.models import DatasetVersion
from webapp.jobs import permits
from webapp.jobs.models import Job, Worker
from workers.protocol import pool_queue

CONSUMER = """
import sys
import redis
from celery import Celery
from workers.protocol import CELERY_SETTINGS, RUN_NEXT_JOB
url, queue = sys.argv[1:]
app = Celery(broker=url)
app.conf.update(CELERY_SETTINGS)
ran = redis.Redis.from_url(url)
@app.task(name=RUN_NEXT_JOB)
def run_next_job():
    ran.incr("ran")
app.Worker(pool="threads", concurrency=1, queues=[queue], without_mingle=True, without_gossip=True).start()
"""
"""A worker's ear alone: counts the permits that it hears."""
ROOT = Path(__file__).parents[2]
STARTED_WITHIN = 120.0
NAMES_OF_CELERY = ["unacked", "unacked_index", "unacked_mutex", "worker-1", "site", "celery"]


@pytest.fixture
def valkey(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[redis.Redis]:
    """A server of its own, which this process publishes to."""
    with running(tmp_path) as server, redis.Redis.from_url(server.url, decode_responses=True) as client:
        settings.REDIS_URL = server.url
        monkeypatch.setitem(app.conf, "broker_url", server.url)
        _forget_connections()
        yield client
        _forget_connections()


def _forget_connections() -> None:
    broker.client.cache_clear()
    broker.outage.ended()
    app._pool = app.amqp._producer_pool = None


@pytest.fixture
def ear(valkey: redis.Redis, settings: Any, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A real Celery consumer of the default pool."""
    command = [sys.executable, "-c", CONSUMER, settings.REDIS_URL, pool_queue("default")]
    errors = tmp_path / "ear.txt"
    with errors.open("wb") as out, subprocess.Popen(command, cwd=ROOT, stderr=out) as process:
        try:
            until(lambda: valkey.keys(f"*_kombu.binding.{pool_queue('default')}") or process.poll(), STARTED_WITHIN)
            assert process.poll() is None, errors.read_text()
            yield process
        finally:
            process.kill()


def body(base_model: BaseModel, version: DatasetVersion, pool: str) -> dict[str, Any]:
    return {"base_model": base_model.pk, "dataset_version": version.pk, "method": "lora", "pool": pool}


def heard(valkey: redis.Redis) -> int:
    return int(str(valkey.get("ran") or 0))


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_jobs_for_pools_named_like_celerys_own_keys_silence_no_worker(
    valkey: redis.Redis, ear: subprocess.Popen[bytes], bob_api: Api, base_model: BaseModel, version: DatasetVersion
) -> None:
    for number, pool in enumerate(["default", *NAMES_OF_CELERY]):
        online(f"w{number}", [gpu()], pool=pool)
    Worker.objects.update(last_hello_at=timezone.now() + timedelta(hours=1))  # online, however slow this machine is
    for pool in NAMES_OF_CELERY:
        assert bob_api("post", "jobs", body(base_model, version, pool)).status_code == 201
    for number in range(1, 4):
        assert bob_api("post", "jobs", body(base_model, version, "default")).status_code == 201
        until(lambda number=number: heard(valkey) >= number, 20)  # type: ignore[misc]
    assert ear.poll() is None


@pytest.mark.parametrize(
    "pool", ["_kombu.binding.default", "Default", "a b", "pool\x06\x163", "", "x" * 41, ".", "a\nb", "gpu/1", "ü"]
)
def test_a_pool_that_is_no_name_is_refused_with_the_rule(
    bob_api: Api, base_model: BaseModel, version: DatasetVersion, pool: str
) -> None:
    answer = bob_api("post", "jobs", body(base_model, version, pool or " "))
    assert answer.status_code == 422
    problem = answer.json()["problems"][0]
    assert problem["field"] == "pool"
    assert "a-z, 0-9" in problem["hint"]
    assert not Job.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_no_permit_is_left_for_a_pool_that_nobody_serves(
    valkey: redis.Redis, bob_api: Api, base_model: BaseModel, version: DatasetVersion
) -> None:
    online("w", [gpu()])
    online("removed", [gpu()], pool="gone", revoked_at="2026-01-01T00:00Z")
    online("away", [gpu()], pool="away")
    Worker.objects.filter(name="away").update(last_hello_at=None)
    for pool in ("nobody", "gone", "away"):
        assert bob_api("post", "jobs", body(base_model, version, pool)).status_code == 201
    assert not [key for key in valkey.keys("*") if "binding" not in key]


@pytest.mark.django_db(transaction=True)
def test_a_job_for_a_label_wakes_the_workers_that_have_it(
    valkey: redis.Redis, bob_api: Api, base_model: BaseModel, version: DatasetVersion
) -> None:
    worker = online("w", [gpu()], report={"labels": ["h100"]})
    online("other", [gpu()])
    assert bob_api("post", "jobs", body(base_model, version, "h100")).status_code == 201
    assert [key for key in valkey.keys("*") if "binding" not in key] == [f"deltaboard:worker-{worker.pk}"]


@pytest.mark.django_db(transaction=True)
def test_permits_that_nobody_takes_are_bounded(valkey: redis.Redis) -> None:
    worker = online("w", [gpu()])
    for _ in range(permits.WAITING_AT_MOST + 20):
        assert permits.wake(worker)
    assert valkey.llen(f"deltaboard:worker-{worker.pk}") == permits.WAITING_AT_MOST


@pytest.mark.django_db(transaction=True)
def test_a_broker_that_refuses_one_command_is_not_away(valkey: redis.Redis) -> None:
    """One key of the wrong type, or one pool too many for its memory, must not silence the others for seconds."""
    broken, well = online("broken", [gpu()]), online("well", [gpu()])
    valkey.set(f"deltaboard:worker-{broken.pk}", "not a list")
    assert not permits.wake(broken)
    assert not broker.outage.known
    assert permits.wake(well)
