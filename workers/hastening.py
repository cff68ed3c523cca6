"""The hard stop: a worker that was told twice to end is gone within seconds, whatever it waits for."""

from __future__ import annotations

import logging
import os
import time
from threading import Thread

from workers.enrolling import Home
from workers.leftovers import kill_marked
from workers.orders import Orders

HARD_STOP_SECONDS = 3.0
"""Left for killing the trees and handing the attempts back; leases of what is not handed back run out."""
POLL_SECONDS = 0.1
ENDED_HARD = 1
log = logging.getLogger(__name__)


def keep_the_limit(orders: Orders, home: Home) -> None:
    Thread(target=_end_hard, args=(orders, home), name="hard stop", daemon=True).start()


def kill_trees(home: Home) -> int:
    """SIGKILL every process of every attempt of this worker; how many there were."""
    return kill_marked(lambda mark: mark.startswith(f"{home.path}{os.sep}"))


def _end_hard(orders: Orders, home: Home) -> None:
    while not orders.hurry.is_set():
        time.sleep(POLL_SECONDS)
    time.sleep(HARD_STOP_SECONDS)
    log.warning("Told twice to end: leaving at once. What was not handed back is taken back by the site.")
    kill_trees(home)
    logging.shutdown()
    os._exit(ENDED_HARD)
