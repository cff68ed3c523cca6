"""`manage.py up`: the whole site on one machine, from an empty folder to a sign-in link. The work is the processes'."""

from __future__ import annotations

import argparse
import http.client
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from launcher import environment
from launcher.folders import MANAGE, make_private, require_space, state_folder, try_lock
from launcher.ports import EVERYWHERE, own_names, require_free
from launcher.processes import Program
from launcher.refusal import Refusal, says_disk_full
from launcher.requirements import SITE, WORKER
from launcher.supervisor import Stopped, Supervisor
from launcher.surroundings import of_site, of_worker
from launcher.valkey import Broker

SPACE_MB = 500
WORKERS_STAGE, SITE_STAGE, BROKER_STAGE = range(3)
START_LIMIT_SECONDS = 60.0


def arguments(line: list[str]) -> argparse.Namespace:
    """What stands behind `up` on the command line."""
    parser = argparse.ArgumentParser("manage.py up", description="Start Deltaboard on this machine.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 for every address")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on (8000)")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="worker processes on this machine (1)")
    parser.add_argument("--no-worker", action="store_true", help="no worker here, and no training packages")
    parser.add_argument("--slots", type=int, metavar="N", help="jobs at a time of each worker; one per GPU, else 1")
    parser.add_argument("--starter", action="store_true", help="install the starter models and datasets as well")
    options = parser.parse_args(line)
    if not 0 < options.port < 65536:
        parser.error(f"--port {options.port}: a port is a number from 1 to 65535")
    if options.workers < 1:
        parser.error(f"--workers {options.workers}: at least 1; --no-worker starts none")
    if options.slots is not None and options.slots < 1:
        parser.error(f"--slots {options.slots}: at least 1")
    if options.no_worker:
        options.workers = 0
    return options


def up(line: list[str]) -> None:
    """Checks what can be checked, makes the environment, and runs everything until somebody ends it."""
    options = arguments(line)
    state = make_private(state_folder())
    lock = try_lock(state / "up.lock")
    if lock is None:
        raise Refusal(
            f"Deltaboard already runs from {state}: {(state / 'up.lock').read_text() or 'it is just starting'}. "
            "End that one with Ctrl-C first, or name another folder in DELTABOARD_VAR for a second site."
        )
    with lock:
        require_free(options.host, options.port)
        require_space(state, SPACE_MB, "Deltaboard")
        environment.ensure(SITE, *([WORKER] if options.workers else []))
        up_site = Site(options, state)
        lock.truncate(0)
        lock.write(f"{up_site.address}, process {os.getpid()}")
        lock.flush()
        _run(up_site, options.starter)
        lock.truncate(0)


def _run(site: Site, starter: bool) -> None:
    try:
        with Supervisor(site.state / "logs") as supervisor:
            site.start(supervisor)
            if starter:
                supervisor.start(site.starter())
            while True:
                supervisor.turn()
    except Stopped:
        print("\nDeltaboard has ended. Jobs go on where they were when it starts again.", flush=True)


class Site:
    """The processes of one machine, in the order in which they need each other."""

    def __init__(self, options: argparse.Namespace, state: Path) -> None:
        self.state = state
        self.host, self.port = options.host, options.port
        self.workers, self.slots = options.workers, options.slots
        everywhere = options.host in EVERYWHERE
        self.inner_host = "127.0.0.1" if everywhere else options.host
        self.inner_url = f"http://{_in_url(self.inner_host)}:{options.port}"
        outer_host = own_names()[-1] if everywhere else options.host
        self.address = os.environ.get("SITE_URL") or f"http://{_in_url(outer_host)}:{options.port}"
        self.environment = of_site(state, self.address, own_names() if everywhere else [options.host])
        self.environment["DELTABOARD_PROBE_URL"] = self.inner_url

    def starter(self) -> Program:
        """Installs the starter set once, telling how far it is."""
        command = _manage("starter", "--wait")
        return Program("starter", command, self.environment, WORKERS_STAGE, restarts=False, show="all")

    def start(self, supervisor: Supervisor) -> None:
        """Broker, tables, web and housekeeping, sign-in link, workers."""
        self._start_broker(supervisor)
        self._ask(supervisor, "The database could not be brought up to date", "migrate", "--no-input", "-v", "0")
        supervisor.start(Program("web", self._web_command(), self.environment, SITE_STAGE))
        supervisor.start(Program("housekeeping", _manage("housekeeping"), self.environment, SITE_STAGE))
        link = self._ask(supervisor, "The sign-in link could not be made", "signinlink", "--site", self.address)
        self._wait_for(supervisor, "web", self._answers)
        print(_banner(self.address, link, self.state), flush=True)
        for number in range(1, self.workers + 1):
            supervisor.start(self._worker(supervisor, f"worker-{number}"))

    def _start_broker(self, supervisor: Supervisor) -> None:
        if "REDIS_URL" in os.environ:
            return
        broker = Broker.prepare(self.state / "valkey")
        self.environment["REDIS_URL"] = broker.url
        supervisor.start(Program("valkey", broker.command(), dict(os.environ), BROKER_STAGE, show="nothing"))
        self._wait_for(supervisor, "valkey", broker.answers)

    def _web_command(self) -> list[str]:
        command = [sys.executable, "-m", "uvicorn", "webapp.asgi:application", "--host", self.host]
        command += ["--port", str(self.port), "--timeout-graceful-shutdown", "5", "--lifespan", "off"]
        return [*command, "--no-access-log"]

    def _answers(self) -> bool:
        """Whether the web server answers and reaches the database."""
        connection = http.client.HTTPConnection(self.inner_host, self.port, timeout=2)
        try:
            connection.request("GET", "/api/worker/ping")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _worker(self, supervisor: Supervisor, name: str) -> Program:
        """A worker that enrols with a one-time key, unless it did so at an earlier start."""
        surroundings = of_worker(self.environment)
        if not self._is_enrolled(name):
            words = ("workerkey", "--name", name, "--embedded")
            surroundings["DELTABOARD_WORKER_KEY"] = self._ask(supervisor, f"{name} could not be enrolled", *words)
        slots = ["--slots", str(self.slots)] if self.slots else []
        command = _manage("worker", "--site", self.inner_url, "--name", name, *slots)
        return Program(name, command, surroundings, WORKERS_STAGE)

    def _is_enrolled(self, name: str) -> bool:
        """Whether this worker holds a token for this address; another port counts as another site."""
        try:
            saved = json.loads((self.state / "workers" / name / "token.json").read_text())
        except (OSError, ValueError):
            return False
        return isinstance(saved, dict) and saved.get("site") == self.inner_url

    def _ask(self, supervisor: Supervisor, failure: str, *words: str) -> str:
        """The output of a short command of manage.py; its errors in full go to a log."""
        code, output, errors = supervisor.ask(_manage(*words), self.environment)
        if code == 0:
            return output.strip()
        if says_disk_full(errors):
            raise Refusal(f"The disk under {self.state} is full. Free some space and start the same command again.")
        log = supervisor.logs / f"{words[0]}.log"
        log.write_text(errors)
        raise Refusal(f"{failure}: {(errors.strip().splitlines() or ['no reason given'])[-1]}. All it said: {log}")

    def _wait_for(self, supervisor: Supervisor, name: str, answers: Callable[[], bool]) -> None:
        """Until the program answers; refuses as soon as it has failed instead of trying for ever."""
        watched = supervisor.watched[name]
        in_time = supervisor.wait_until(lambda: watched.failures > 0 or answers(), START_LIMIT_SECONDS)
        if watched.failures or not in_time:
            reason = watched.last_line or f"no answer for {START_LIMIT_SECONDS:.0f} s"
            raise Refusal(f"{name} did not start: {reason}. Its log: {supervisor.logs / f'{name}.log'}")


def _manage(*words: str) -> list[str]:
    return [sys.executable, str(MANAGE), *words]


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _banner(address: str, link: str, state: Path) -> str:
    lines = ["", f"Deltaboard is running at {address}", ""]
    if link:
        lines += ["Sign in as the first admin with this link. It works once:", f"  {link}", ""]
    return "\n".join([*lines, f"Ctrl-C ends it. Its data and logs are in {state}.", ""])
