"""A small data centre for fault tests: a site (web, housekeeping, Valkey) and toy workers, each a process of its own.

Every part can be started, killed, stopped and continued by its own process id; nothing is left when the block ends.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from launcher.surroundings import of_worker
from launcher.valkey import Broker
from tests.environment import free_port
from tests.faults.key_maker import KeyMaker
from workers.protocol import ATTEMPT_VARIABLE

ROOT = Path(__file__).resolve().parents[2]
TIMINGS = {
    "batch_seconds": 0.3,
    "lease_seconds": 3.0,
    "sweep_seconds": 0.5,
    "ack_limit_seconds": 3.0,
    "cancel_grace_seconds": 1.0,
    "drain_limit_seconds": 5.0,
    "no_progress_seconds": 30.0,
    "cut_off_seconds": 10.0,
    "hello_seconds": 0.5,
    "third_attempt_seconds": 0.5,
}
ENDS = ("succeeded", "failed", "cancelled")
NOT_PASSED_ON = ("REDIS_URL", "DATABASE_URL", "DJANGO_SETTINGS_MODULE")


def wait_for(what: str, check: Callable[[], Any], seconds: float = 30) -> Any:
    """Poll until `check` gives something; its value."""
    until = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < until, f"not within {seconds} s: {what}"
        time.sleep(0.05)
    return found


@dataclass
class Part:
    """One program of the data centre, started and ended as often as a test likes."""

    name: str
    command: list[str]
    environment: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert not self.alive
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL to this one process alone; what it started is its own business."""
        self.signal(signal.SIGKILL)
        self.wait()

    def wait(self, seconds: float = 20) -> int:
        """Its exit code, once it has ended."""
        assert self.process is not None
        return self.process.wait(seconds)

    def wait_or_none(self, seconds: float) -> int | None:
        """Its exit code, or None if it still runs after so long."""
        assert self.process is not None
        with suppress(subprocess.TimeoutExpired):
            return self.process.wait(seconds)
        return None

    def end(self) -> None:
        """The end of the test: it and its process group are gone, whatever state they were in."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""


@dataclass
class Machines:
    """The whole of it. `parts` by name: valkey, web, housekeeping, and the workers."""

    folder: Path
    url: str
    broker: Broker
    environment: dict[str, str]
    keys: KeyMaker
    token: str = ""
    base_model: int = 0
    version: int = 0
    parts: dict[str, Part] = field(default_factory=dict)

    def add(self, name: str, command: list[str], environment: dict[str, str] | None = None) -> Part:
        """A part that is not started yet."""
        part = Part(
            name, command, self.environment if environment is None else environment, self.folder / f"{name}.log"
        )
        self.parts[name] = part
        return part

    def manage(self, *words: str) -> str:
        """A management command on this site; its output."""
        command = [sys.executable, str(ROOT / "manage.py"), *words]
        return _output_of(command, self.environment).strip()

    def worker(self, name: str, *options: str, pool: str = "default", **environment: str) -> Part:
        """A toy worker process, enrolled and started. Its home is `folder/var/workers/NAME`."""
        own = of_worker(self.environment) | {"DELTABOARD_WORKER_KEY": self.keys.key(name, pool), **environment}
        command = [sys.executable, "-m", "tests.faults.toy_worker", "--site", self.url, "--name", name, *options]
        part = self.add(name, command, own)
        part.start()
        return part

    def home(self, worker: str) -> Path:
        return self.folder / "var" / "workers" / worker

    def api(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/json"}
        return httpx.request(method, f"{self.url}/api/v1/{path}", headers=headers, timeout=30, **arguments)

    def launch(self, name: str = "toy steady", **fields: Any) -> int:
        """A queued job; its name says how the toy worker trains it."""
        chosen = {"base_model": self.base_model, "dataset_version": self.version, "method": "lora", "name": name}
        answer = self.api("post", "jobs", json=chosen | fields)
        assert answer.status_code == 201, answer.text
        return int(answer.json()["id"])

    def job(self, job_id: int) -> dict[str, Any]:
        answer: dict[str, Any] = self.api("get", f"jobs/{job_id}").json()
        return answer

    def act(self, job_id: int, action: str) -> httpx.Response:
        return self.api("post", f"jobs/{job_id}/{action}")

    def wait_for_job(self, job_id: int, check: Callable[[dict[str, Any]], Any], seconds: float = 30) -> dict[str, Any]:
        """The job as soon as `check(job)` holds."""
        try:
            found: dict[str, Any] = wait_for(
                f"job {job_id}", lambda: job if check(job := self.job(job_id)) else None, seconds
            )
        except AssertionError as error:
            raise AssertionError(f"{error}\n{json.dumps(self.job(job_id), indent=1)[:3000]}\n{self.logs()}") from error
        return found

    def wait_for_state(self, job_id: int, *states: str, seconds: float = 30) -> dict[str, Any]:
        def reached(job: dict[str, Any]) -> bool:
            assert job["state"] not in ENDS or job["state"] in states, f"{job['state']}: {job.get('reason')}"
            return job["state"] in states

        return self.wait_for_job(job_id, reached, seconds)

    def events(self, job_id: int, kind: str) -> list[dict[str, Any]]:
        """The job's stored events of one kind, in their order."""
        found: list[dict[str, Any]] = []
        after, more = 0, True
        while more:
            answer = self.api("get", f"jobs/{job_id}/events", params={"after": after}).json()
            found += answer["items"]
            after, more = answer["next"], bool(answer["items"])
        return [item for item in found if item["kind"] == kind]

    def history(self, job_id: int) -> list[tuple[str, str, str]]:
        """Every change of the job's state: before, after, reason code."""
        changes = [item for item in self.events(job_id, "state") if item["before"] != item["after"]]
        return [(item["before"], item["after"], (item["reason"] or {}).get("code", "")) for item in changes]

    def steps(self, job_id: int) -> list[int]:
        """The steps of the job's metric series, as the charts show them."""
        rows = self.api("get", f"jobs/{job_id}/metrics", params={"format": "csv"}).text.splitlines()
        place = rows[0].split(",").index("step")
        return [int(row.split(",")[place]) for row in rows[1:]]

    def report_of(self, worker: str) -> dict[str, Any]:
        """Its newest entry in the list of workers."""
        items: list[dict[str, Any]] = self.api("get", "workers").json()["items"]
        return next(item for item in items if item["name"] == worker)

    def logs(self, characters: int = 1500) -> str:
        return "\n".join(f"--- {part.name}\n{part.said()[-characters:]}" for part in self.parts.values())


def marked(under: Path) -> list[psutil.Process]:
    """Processes of attempts whose folder lies below `under`."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            mark = process.environ().get(ATTEMPT_VARIABLE, "")
            if mark.startswith(str(under)) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


@contextmanager
def machines(folder: Path, timings: dict[str, float] | None = None, **environment: str) -> Iterator[Machines]:
    """A new site with its broker, all answering; DATABASE_URL puts it on PostgreSQL. No worker yet."""
    folder.mkdir(parents=True, exist_ok=True)
    site = _prepared(folder, TIMINGS | (timings or {}), environment)
    try:
        for name in ("valkey", "web", "housekeeping"):
            site.parts[name].start()
        wait_for("valkey", site.broker.answers)
        wait_for("web", lambda: _answers(site.url), 60)
        yield site
    finally:
        for part in site.parts.values():
            part.end()
        site.keys.end()
        for process in marked(folder):
            process.kill()


def _prepared(folder: Path, timings: dict[str, float], more: dict[str, str]) -> Machines:
    broker = Broker.prepare(folder / "valkey")
    port = free_port()
    own = {
        "DELTABOARD_VAR": str(folder / "var"),
        "DELTABOARD_NO_BOOTSTRAP": "1",
        "DELTABOARD_TIMINGS": json.dumps(timings),
        "DJANGO_SETTINGS_MODULE": "webapp.settings",
        "PYTHONUNBUFFERED": "1",
        "SECRET_KEY": secrets.token_urlsafe(50),
        "REDIS_URL": broker.url,
        "DELTABOARD_SITE_URL": f"http://127.0.0.1:{port}",
        "DELTABOARD_PROBE_URL": f"http://127.0.0.1:{port}",
    }
    inherited = {name: value for name, value in os.environ.items() if name not in NOT_PASSED_ON}
    environment = inherited | own | more
    site = Machines(folder, own["DELTABOARD_SITE_URL"], broker, environment, KeyMaker(environment))
    known = json.loads(_output_of([sys.executable, "-m", "tests.faults.seed"], site.environment))
    site.token, site.base_model, site.version = known["token"], known["base_model"], known["version"]
    web = ["-m", "uvicorn", "webapp.asgi:application", "--host", "127.0.0.1", "--port", str(port)]
    web += ["--timeout-graceful-shutdown", "5", "--lifespan", "off", "--no-access-log", "--log-level", "warning"]
    site.add("valkey", broker.command())
    site.add("web", [sys.executable, *web])
    site.add("housekeeping", [sys.executable, str(ROOT / "manage.py"), "housekeeping"])
    return site


def _output_of(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/api/v1/healthz", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False
