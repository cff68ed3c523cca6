"""One site for the faults that lie between its parts: broker, network, web; with chaos proxies on the workers' ways."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.nemesis.site import Site, running_site, until

PEOPLE = 12
KEYS = 24


@pytest.fixture(scope="package")
def standing_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("between")
    with running_site(folder, people=PEOPLE, workers=KEYS) as site:
        yield site


@pytest.fixture
def site(standing_site: Site) -> Iterator[Site]:
    """The same site for every test: whole, without rules and without open jobs of another one."""
    yield standing_site
    standing_site.to_site.heal()
    standing_site.to_broker.heal()
    for daemon in (standing_site.valkey, standing_site.web, standing_site.housekeeping):
        if not daemon.alive:
            daemon.restart()
    until("the site is whole again", standing_site.whole, 30)
    standing_site.cancel_everything()


@pytest.fixture
def workers(site: Site) -> Site:
    """The site with two workers that wait for jobs; they go on from test to test."""
    while len(site.workers) < 2:
        site.add_worker()
    for worker in site.workers[:2]:
        if not worker.alive:
            worker.restart()
    names = {worker.name for worker in site.workers[:2]}
    until("two workers are online", lambda: names <= site.online(), 30)
    return site
