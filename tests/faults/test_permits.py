"""One permit, delivered many times: the row is the job, so whoever comes with it a second time finds nothing to do."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from celery import Celery
from kombu.utils.uuid import uuid

from tests.faults.machines import Machines, wait_for
from workers.protocol import CELERY_SETTINGS, RUN_NEXT_JOB, pool_queue

pytestmark = pytest.mark.slow
POOL = "permits"
TIMES = 10
LIMIT = {"visibility_timeout": 1}
"""Seconds; the training takes far longer than that."""


def publish(site: Machines, permit: str) -> None:
    options = {**CELERY_SETTINGS["broker_transport_options"], **LIMIT}
    settings: dict[str, Any] = {**CELERY_SETTINGS, "broker_transport_options": options}
    with Celery("publisher", broker=site.broker.url, config_source=settings) as app:
        app.send_task(RUN_NEXT_JOB, queue=pool_queue(POOL), task_id=permit)


def undelivered(site: Machines) -> int:
    """Permits that no worker has taken, or that one has taken and not answered for."""
    with redis.Redis.from_url(site.broker.url, protocol=2) as client:
        return int(client.llen(f"deltaboard:{pool_queue(POOL)}")) + int(client.hlen("deltaboard:unacked"))


@pytest.mark.fault(12)
def test_one_permit_published_ten_times_makes_one_attempt(site: Machines) -> None:
    """Ten messages of one id, to two workers whose broker gives back after a second what was not acknowledged."""
    for name in ("permits-1", "permits-2"):
        site.worker(name, pool=POOL, TOY_VISIBILITY_SECONDS=str(LIMIT["visibility_timeout"]))
    wait_for("both workers", lambda: all("waits for jobs" in site.parts[f"permits-{n}"].said() for n in (1, 2)))
    job = site.launch("toy steady 30 0.1", pool=POOL)
    permit = uuid()
    for _ in range(TIMES):
        publish(site, permit)
    ended = site.wait_for_state(job, "succeeded")
    wait_for("every permit is delivered", lambda: undelivered(site) == 0)
    assert ended["attempt"] == 1
    assert [after for _, after, _ in site.history(job)] == ["queued", "starting", "running", "succeeded"]
    assert site.job(job)["attempt"] == 1
