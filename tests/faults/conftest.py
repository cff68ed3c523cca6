"""One data centre for all fault tests that leave the site itself alone; each takes workers and a pool of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.buckets import moto, way
from tests.faults.machines import Machines, machines

__all__ = ["moto", "way"]


@pytest.fixture(scope="package")
def data_centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    with machines(tmp_path_factory.mktemp("data-centre")) as site:
        yield site


@pytest.fixture
def site(data_centre: Machines) -> Iterator[Machines]:
    """The shared site; the workers that a test starts end with it."""
    yield data_centre
    for name, part in list(data_centre.parts.items()):
        if name not in ("valkey", "web", "housekeeping"):
            part.end()
            del data_centre.parts[name]
