"""Loaded before everything else in a test run: own state folder, short timings, own broker port."""

from __future__ import annotations

import atexit
import json
import os
import secrets
import shutil
import socket
import tempfile
from pathlib import Path

BROKER_PASSWORD = secrets.token_urlsafe(16)


def free_port() -> int:
    """A port on loopback that nothing listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


BROKER_PORT = free_port()
TIMINGS = {
    "batch_seconds": 0.3,
    "lease_seconds": 5.0,
    "sweep_seconds": 0.5,
    "ack_limit_seconds": 5.0,
    "cancel_grace_seconds": 3.0,
    "drain_limit_seconds": 10.0,
    "no_progress_seconds": 60.0,
    "cut_off_seconds": 30.0,
    "hello_seconds": 0.5,
    "third_attempt_seconds": 1.0,
    "sweep_gap_seconds": 3.0,
}

STATE = Path(tempfile.mkdtemp(prefix="deltaboard-test-"))
MADE_BY = os.getpid()


@atexit.register
def remove_state() -> None:
    """The run's own state goes with it; a forked child that ends leaves it alone."""
    if os.getpid() == MADE_BY:
        shutil.rmtree(STATE, ignore_errors=True)


os.environ["DELTABOARD_VAR"] = str(STATE)
os.environ["DELTABOARD_TIMINGS"] = json.dumps(TIMINGS)
os.environ["DELTABOARD_DISK_RESERVE_BYTES"] = str(64 * 1024**2)
os.environ["REDIS_URL"] = f"redis://:{BROKER_PASSWORD}@127.0.0.1:{BROKER_PORT}/0"
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"  # no test reaches a hub but those with one of their own on loopback
for name in ("DATABASE_URL", "SECRET_KEY", "SITE_URL", "DELTABOARD_SITE_URL", "S3_BUCKET", "ALLOWED_HOSTS"):
    os.environ.pop(name, None)
if url := os.environ.get("DELTABOARD_TEST_DATABASE_URL"):  # from launcher/postgres.py: the same tests on PostgreSQL
    os.environ |= {"DATABASE_URL": url, "SECRET_KEY": secrets.token_urlsafe(50)}
