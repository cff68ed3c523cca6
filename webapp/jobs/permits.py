"""Sends wake-ups to workers: a permit to run the best job. It names no job; a lost or extra one does no harm.

Nothing is published where nobody listens: whoever comes later asks with its first hello.
"""

from __future__ import annotations

import logging

from django.db import transaction
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from webapp import broker
from webapp.celery import app
from webapp.jobs.fitting import pools_of
from webapp.jobs.models import Worker
from workers.protocol import CELERY_SETTINGS, RUN_NEXT_JOB, pool_queue, worker_queue

log = logging.getLogger(__name__)
WAITING_AT_MOST = 100
"""So many permits in one queue are enough: a worker that takes one works until nothing waits."""
PREFIX = str(CELERY_SETTINGS["broker_transport_options"]["global_keyprefix"])


def permit_on_commit(pool: str) -> None:
    """Wake one worker of the pool once the rows are there; if that fails, the reconciler sends again."""
    transaction.on_commit(lambda: permit(pool), robust=True)


def permit(pool: str) -> None:
    """One for the pool where a worker listens to it, one for each worker that has it as a label."""
    if broker.outage.known:
        return
    workers = list(Worker.objects.online())
    if any(worker.pool == pool for worker in workers):
        send_permit(pool_queue(pool))
    for worker in workers:
        if worker.pool != pool and pool in pools_of(worker):
            wake(worker)


def send_permit(queue: str) -> bool:
    """Publish one permit; False if the broker does not answer, at once if that is known already."""
    if not broker.answers():  # asked first by a client that waits for a second: Celery's own would wait longer
        return False
    try:
        if broker.client().llen(f"{PREFIX}{queue}") < WAITING_AT_MOST:
            app.send_task(RUN_NEXT_JOB, queue=queue)
    except (OperationalError, OSError, *broker.AWAY) as error:
        broker.outage.began()
        log.warning("no permit sent to %s: %s", queue, error)
        return False
    except RedisError as error:  # it answers, and refuses this one: no reason to leave it alone
        log.warning("the broker takes no permit for %s: %s", queue, error)
        return False
    return True


def wake(worker: Worker) -> bool:
    """Publish a permit that only this worker can take."""
    return send_permit(worker_queue(worker.pk))
