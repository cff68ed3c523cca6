"""What a worker tells its site between jobs."""

from __future__ import annotations

from dataclasses import replace

from tests.workers.conftest import until
from tests.workers.reference_site import ReferenceSite
from workers.greeting import keep_greeting
from workers.station import Station


def test_a_worker_that_is_told_to_leave_says_so_at_once(site: ReferenceSite, station: Station) -> None:
    station.timings = site.timings = replace(station.timings, hello_seconds=3600)
    keep_greeting(station)
    station.orders.leave()
    until(lambda: site.hellos)
    assert site.hellos[0]["draining"]
