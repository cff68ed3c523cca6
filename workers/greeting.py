"""Says hello to the site every few seconds, and ends a process that should start afresh once nothing runs in it."""

from __future__ import annotations

import logging
import os
import time
from threading import Thread

from workers.client import SiteRefused, SiteUnreachable, UnknownToken
from workers.station import Station

log = logging.getLogger(__name__)
START_AFRESH = 75
"""Exit code that asks the service manager for a fresh process."""
POLL_SECONDS = 0.1


def keep_greeting(station: Station) -> None:
    Thread(target=_greet_for_ever, args=(station,), name="hello", daemon=True).start()


def _greet_for_ever(station: Station) -> None:
    silent = leaving = False
    while True:
        _wait_for_the_next(station, leaving)
        leaving = station.orders.drain.is_set()
        start_afresh_if_need_be(station)
        try:
            station.hello()
            if silent:
                log.warning("%s answers again.", station.client.site)
            silent = False
        except SiteUnreachable as error:
            if not silent:
                log.warning("%s Trying again; running jobs go on.", error)
            silent = True
        except UnknownToken:
            station.leave(f"The site no longer knows this worker. Delete {station.home.token} and enrol it again.")
        except SiteRefused as error:
            log.warning("The site did not take the hello: %s", error)


def _wait_for_the_next(station: Station, known_to_leave: bool) -> None:
    """A worker that is told to leave says so at once: the site must not hold it for one that takes work."""
    due = time.monotonic() + station.timings.hello_seconds
    while (left := due - time.monotonic()) > 0 and station.orders.drain.is_set() == known_to_leave:
        time.sleep(min(POLL_SECONDS, left))


def start_afresh_if_need_be(station: Station) -> None:
    """Leave by the shortest way: nothing runs here, and an orderly goodbye would wait for the connection that is dead.

    Whoever takes a slot from now on claims nothing, so nothing can begin behind our back.
    """
    why = station.wants_fresh_start
    if why and station.rack.untouched and not station.orders.drain.is_set():
        log.warning("%s Starting afresh.", why)
        logging.shutdown()
        os._exit(START_AFRESH)
