"""Sends wake-ups to workers: a permit to run the best job. It names no job; a lost or extra one does no harm."""

from __future__ import annotations

import logging

from django.db import transaction
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from webapp import broker
from webapp.celery import app
from webapp.jobs.models import Worker
from workers.protocol import RUN_NEXT_JOB, worker_queue

log = logging.getLogger(__name__)


def permit_on_commit(pool: str) -> None:
    """Wake one worker of the pool once the rows are there; if that fails, the reconciler sends again."""
    transaction.on_commit(lambda: send_permit(pool))


def send_permit(queue: str) -> bool:
    """Publish one permit; False if the broker does not answer, at once if that is known already."""
    if not broker.answers():  # asked first by a client that waits for a second: Celery's own would wait longer
        return False
    try:
        app.send_task(RUN_NEXT_JOB, queue=queue)
    except (OperationalError, OSError, RedisError) as error:
        broker.outage.began()
        log.warning("no permit sent to %s: %s", queue, error)
        return False
    return True


def wake(worker: Worker) -> bool:
    """Publish a permit that only this worker can take."""
    return send_permit(worker_queue(worker.pk))
