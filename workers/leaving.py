"""How the worker process leaves: the first signal drains it, the second ends it within seconds, whatever it waits for.

What drains and what hurries are the threads that see the orders; nothing here knows jobs.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from threading import Thread
from types import FrameType

from celery.worker import state

from workers.enrolling import Home
from workers.leftovers import kill_marked
from workers.orders import Orders

HARD_STOP_SECONDS = 3.0
"""For killing the trees and handing the attempts back; the leases of what is not handed back run out."""
POLL_SECONDS = 0.1
ENDED_HARD = 1
log = logging.getLogger("workers")


def obey_signals(orders: Orders) -> None:
    """In place of Celery's own handlers: with threads those of SIGINT and SIGQUIT fail, that of SIGHUP starts anew."""

    def handle(number: int, frame: FrameType | None) -> None:
        orders.leave(at_once=number == signal.SIGQUIT)
        state.should_stop = os.EX_OK

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup keeps its meaning
            signal.signal(number, handle)


def keep_the_limit(orders: Orders, home: Home) -> None:
    """From now on a worker in a hurry is gone in time, also if it waits for a site that does not answer."""
    Thread(target=_end_hard, args=(orders, home), name="hard stop", daemon=True).start()


def kill_trees(home: Home) -> int:
    """SIGKILL every process of every attempt of this worker; how many there were."""
    return kill_marked(lambda mark: mark.startswith(f"{home.path}{os.sep}"))


def _end_hard(orders: Orders, home: Home) -> None:
    while not orders.hurry.is_set():
        time.sleep(POLL_SECONDS)
    time.sleep(HARD_STOP_SECONDS)
    log.warning("Told twice to end: leaving at once. The site takes back what was not handed back.")
    kill_trees(home)
    logging.shutdown()
    os._exit(ENDED_HARD)
