"""A broker that is frozen, not dead: it takes connections and says nothing. A submit must not hang on it."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import psutil
import pytest

from launcher.valkey import running
from tests.conftest import Api
from webapp import broker
from webapp.basemodels.models import BaseModel
from webapp.datasets.models import DatasetVersion


@pytest.mark.fault(15)
@pytest.mark.django_db(transaction=True)
def test_a_submit_to_a_frozen_broker_is_201_within_seconds_and_the_next_at_once(
    tmp_path: Path, bob_api: Api, base_model: BaseModel, version: DatasetVersion, settings: object
) -> None:
    body = {"base_model": base_model.pk, "dataset_version": version.pk, "method": "lora"}
    with running(tmp_path) as server:
        settings.REDIS_URL = server.url  # type: ignore[attr-defined]
        broker.client.cache_clear()
        broker.outage.ended()
        process = next(each for each in psutil.Process().children() if str(server.port) in " ".join(each.cmdline()))
        process.send_signal(signal.SIGSTOP)
        try:
            took = []
            for _ in range(3):
                begun = time.monotonic()
                assert bob_api("post", "jobs", body).status_code == 201
                took.append(time.monotonic() - begun)
        finally:
            process.send_signal(signal.SIGCONT)
            broker.client.cache_clear()
            broker.outage.ended()
    assert 1 < took[0] < 8, took
    assert max(took[1:]) < 1.5, took
