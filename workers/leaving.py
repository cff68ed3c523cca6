"""How the worker process leaves: the first signal drains it, the second ends it within seconds, whatever it waits for.

What drains and what hurries are the threads that see the orders; nothing here knows jobs. Celery is asked to go, and
not trusted to: its goodbye reads from the broker's connection without a limit, so a silent one would hold it for ever.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Thread
from types import FrameType

from celery.worker import state

from workers.enrolling import Home
from workers.leftovers import kill_marked
from workers.orders import Orders

HARD_STOP_SECONDS = 3.0
"""For killing the trees and handing the attempts back; the leases of what is not handed back run out."""
GOODBYE_SECONDS = 5.0
"""For Celery's own way out, once nothing runs here any more."""
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


@dataclass(frozen=True)
class Leaver:
    """Sees to it that the process is gone in time: each callable is the worker's own business."""

    orders: Orders
    home: Home
    at_rest: Callable[[], bool]
    """Nothing runs here, and nothing is being claimed."""
    wake: Callable[[], None]
    """Makes Celery look at what it was told: a signal does not end its waiting, which takes up to 10 s."""
    last_words: Callable[[], int]
    """Says why it leaves, if nobody told it to; the exit code."""

    def watch(self) -> None:
        """From now on, in a thread that holds up nobody."""
        Thread(target=self._leave_in_time, name="leaver", daemon=True).start()

    def _leave_in_time(self) -> None:
        self._wait_for(self.orders.drain.is_set)
        self.wake()
        self._wait_for(lambda: self.orders.hurry.is_set() or self.at_rest())
        if not self.orders.hurry.is_set():
            until = time.monotonic() + GOODBYE_SECONDS
            self._wait_for(lambda: self.orders.hurry.is_set() or time.monotonic() > until)
        if self.at_rest():
            log.warning("Nothing runs here any more, but Celery does not let go of the broker: leaving all the same.")
            _end(self.last_words())
        time.sleep(HARD_STOP_SECONDS)
        log.warning("Told twice to end: leaving at once. The site takes back what was not handed back.")
        kill_trees(self.home)
        _end(ENDED_HARD)

    def _wait_for(self, condition: Callable[[], bool]) -> None:
        while not condition():
            time.sleep(POLL_SECONDS)


def kill_trees(home: Home) -> int:
    """SIGKILL every process of every attempt of this worker; how many there were."""
    return kill_marked(lambda mark: mark.startswith(f"{home.path}{os.sep}"))


def _end(code: int) -> None:
    logging.shutdown()
    os._exit(code)
