"""Wakes the site's own Celery worker: the message only says that something waits in the outbox."""

from __future__ import annotations

import logging

from kombu.exceptions import OperationalError

from webapp.celery import app
from webapp.notices.sending import send_due

log = logging.getLogger(__name__)


@app.task(name="webapp.notices.tasks.send")  # type: ignore[untyped-decorator]
def send() -> None:
    """Send what is due; a second message finds nothing left to do."""
    send_due()


def wake() -> None:
    """Ask for it now; if the broker is away, housekeeping's own round sends it."""
    try:
        send.delay()
    except (OperationalError, OSError) as error:
        log.warning("outbox not announced: %s", error)
