"""Wake-ups of the site's own Celery worker: a message only says that something waits in the database."""

from __future__ import annotations

import logging

from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from webapp import broker
from webapp.celery import app
from webapp.datasets.vetting import run_check

log = logging.getLogger(__name__)


@app.task(name="webapp.datasets.tasks.check_version")  # type: ignore[untyped-decorator]
def check_version(version_id: int) -> None:
    """Check one dataset version; a second message for it changes nothing."""
    run_check(version_id)


def wake(version_id: int) -> None:
    """Ask for a check now; if the broker is away, the reconciler asks again."""
    if not broker.answers():
        return
    try:
        check_version.delay(version_id)
    except (OperationalError, OSError, RedisError) as error:
        broker.outage.began()
        log.warning("check of dataset version %s not announced: %s", version_id, error)
