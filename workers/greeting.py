"""Says hello to the site every few seconds, for as long as the worker process lives."""

from __future__ import annotations

import logging
import time
from threading import Thread

from workers.client import SiteRefused, SiteUnreachable, UnknownToken
from workers.station import Station

log = logging.getLogger(__name__)


def keep_greeting(station: Station) -> None:
    Thread(target=_greet_for_ever, args=(station,), name="hello", daemon=True).start()


def _greet_for_ever(station: Station) -> None:
    silent = False
    while True:
        time.sleep(station.timings.hello_seconds)
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
