"""Housekeeping is killed: nothing that it started lives on beside what the next one starts."""

from __future__ import annotations

import psutil
import pytest

from tests.nemesis.site import Site, until

pytestmark = pytest.mark.slow


@pytest.mark.fault(56)
def test_a_killed_housekeeping_takes_its_celery_worker_along(site: Site) -> None:
    mine = psutil.Process(site.housekeeping.pid)
    until("its Celery worker runs", lambda: any("celery" in each.cmdline() for each in mine.children()))
    family = mine.children(recursive=True)
    site.housekeeping.kill()
    until("all are gone", lambda: not any(each.is_running() for each in family), 15)
