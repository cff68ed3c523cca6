"""A real web server (uvicorn) and real housekeeping processes on a database of their own, ended by their pids."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.environment import TIMINGS, free_port

ROOT = Path(__file__).resolve().parent.parent.parent
LIMIT_SECONDS = 60.0


@dataclass
class Served:
    """A web server and what was planted: a running attempt with its token, a person's token, a queued job."""

    url: str
    environment: dict[str, str]
    process: subprocess.Popen[bytes]
    attempt: int = 0
    attempt_token: str = ""
    user_token: str = ""
    job: int = 0
    base_model: int = 0
    dataset_version: int = 0

    def call(self, method: str, path: str, token: str = "", timeout: float = 30, **how: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.request(method, f"{self.url}/{path}", headers=headers, timeout=timeout, **how)

    def send_events(self, first_seq: int, text: str, timeout: float = 30) -> httpx.Response:
        body = {"first_seq": first_seq, "events": [{"kind": "log", "text": text}]}
        path = f"api/worker/attempts/{self.attempt}/events"
        return self.call("POST", path, self.attempt_token, timeout, json=body)

    def log_lines(self) -> list[str]:
        items = self.call("GET", f"api/v1/jobs/{self.job}/log", self.user_token).json()["items"]
        return [item["text"] for item in items]


def wait_until(what: str, check: Callable[[], Any], seconds: float = LIMIT_SECONDS) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := check():
            return found
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s: {what}")


@contextmanager
def serving(var: Path, **environment: str) -> Iterator[Served]:
    """Migrate, plant, serve; everything is gone afterwards."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    own = {
        "DELTABOARD_VAR": str(var),
        "DELTABOARD_NO_BOOTSTRAP": "1",
        "DELTABOARD_TIMINGS": json.dumps(TIMINGS),
        "DELTABOARD_PROBE_URL": url,
        "DJANGO_SETTINGS_MODULE": "webapp.settings",
        "SECRET_KEY": secrets.token_urlsafe(50),
        "REDIS_URL": f"redis://127.0.0.1:{free_port()}/0",
        "PYTHONUNBUFFERED": "1",
        **environment,
    }
    inherited = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    everything = inherited | own
    _run(everything, str(ROOT / "manage.py"), "migrate", "--no-input", "-v", "0")
    planted = json.loads(_run(everything, "-m", "tests.faults.planting"))
    command = ["-m", "uvicorn", "webapp.asgi:application", "--host", "127.0.0.1", "--port", str(port)]
    with started(everything, var, *command, "--lifespan", "off", "--no-access-log") as process:
        served = Served(url, everything, process, **planted)
        wait_until("the web server answers", lambda: _answers(url))
        yield served


@contextmanager
def started(environment: dict[str, str], var: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Python process, its output in a file beside its data; SIGTERM at the end, then SIGKILL."""
    with (var.parent / f"{words[-1].strip('-')}-{secrets.token_hex(2)}.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, *words], env=environment, cwd=ROOT, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _run(environment: dict[str, str], *words: str) -> str:
    done = subprocess.run([sys.executable, *words], env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/api/worker/ping", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False
