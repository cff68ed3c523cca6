"""A whole Deltaboard, started as a person starts it: `manage.py up` in a folder of its own, ended by its pid."""

from __future__ import annotations

import json
import os
import re
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
import psutil

from tests.environment import TIMINGS, free_port

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass
class Stack:
    """A running site with its worker, and a token to call it with."""

    url: str
    var: Path
    process: subprocess.Popen[bytes]
    output: Path
    sign_in_link: str
    token: str = ""

    def api(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/json"}
        return httpx.request(method, f"{self.url}/api/v1/{path}", headers=headers, timeout=60, **arguments)

    def manage(self, *arguments: str) -> str:
        """A management command against this stack's database and broker."""
        command = [sys.executable, str(ROOT / "manage.py"), *arguments]
        own = {"DELTABOARD_VAR": str(self.var), "DELTABOARD_NO_BOOTSTRAP": "1"}
        broker = {"REDIS_URL": self.broker_url} if (self.var / "valkey").exists() else {}
        environment = os.environ | own | broker
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()

    @property
    def broker_url(self) -> str:
        folder = self.var / "valkey"
        port = re.search(r"^port (\d+)$", (folder / "valkey.conf").read_text(), re.MULTILINE)
        assert port
        return f"redis://:{(folder / 'password').read_text()}@127.0.0.1:{port[1]}/0"

    def job(self, job_id: int) -> dict[str, Any]:
        answer: dict[str, Any] = self.api("get", f"jobs/{job_id}").json()
        return answer

    def wait_for(self, what: str, check: Callable[[], Any], seconds: float = 60) -> Any:
        """Poll until `check` gives something; fails with the end of the log."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if found := check():
                return found
            time.sleep(0.2)
        raise AssertionError(f"not within {seconds} s: {what}\n{self.output.read_text()[-3000:]}")

    def wait_for_state(self, job_id: int, *states: str, seconds: float = 120) -> dict[str, Any]:
        def reached() -> dict[str, Any] | None:
            job = self.job(job_id)
            if job["state"] in ("failed", "cancelled") and job["state"] not in states:
                raise AssertionError(f"job ended {job['state']}: {job['reason']}\n{self.log_of(job_id)}")
            return job if job["state"] in states else None

        found: dict[str, Any] = self.wait_for(f"job {job_id} {states}", reached, seconds)
        return found

    def log_of(self, job_id: int) -> str:
        return "\n".join(line["text"] for line in self.api("get", f"jobs/{job_id}/log").json()["items"])

    def processes(self, *words: str) -> list[psutil.Process]:
        """Descendants of this stack whose command line holds all words."""
        family = psutil.Process(self.process.pid).children(recursive=True)
        return [each for each in family if all(word in " ".join(_command(each)) for word in words)]


def _command(process: psutil.Process) -> list[str]:
    try:
        line: list[str] = process.cmdline()
    except psutil.Error:
        return []
    return line


@contextmanager
def running_stack(var: Path, *options: str, **environment: str) -> Iterator[Stack]:
    """`manage.py up` with short timings on a free port; everything is gone afterwards."""
    port = free_port()
    output = var.parent / f"{var.name}.log"
    own = {
        "DELTABOARD_VAR": str(var),
        "DELTABOARD_NO_BOOTSTRAP": "1",
        "DELTABOARD_TIMINGS": json.dumps(TIMINGS),
        "PYTHONUNBUFFERED": "1",
        **environment,
    }
    inherited = {name: value for name, value in os.environ.items() if name not in ("REDIS_URL", "DATABASE_URL")}
    command = [sys.executable, str(ROOT / "manage.py"), "up", "--port", str(port), *options]
    with output.open("wb") as log:
        process = subprocess.Popen(
            command, env=inherited | own, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    stack = Stack(f"http://127.0.0.1:{port}", var, process, output, "")
    try:
        found = stack.wait_for("sign-in link", lambda: _link_in(stack), 60)
        stack.sign_in_link = found
        stack.token = stack.manage("createtoken", "admin", "--team", "first-team")
        yield stack
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)


def _link_in(stack: Stack) -> str | None:
    if stack.process.poll() is not None:
        raise AssertionError(f"up ended with {stack.process.returncode}:\n{stack.output.read_text()[-3000:]}")
    match = re.search(r"http://\S+/sign-in/link/\S+", stack.output.read_text())
    return match[0] if match and _answers(stack.url) else None


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/api/worker/ping", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False
