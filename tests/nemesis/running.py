"""One nemesis run: a real site under load, faults by a seeded schedule, healing, quiet, evidence."""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import redis

from tests.nemesis.clients import Client, Shared
from tests.nemesis.evidence import Evidence, of_database
from tests.nemesis.faults import Fault, Nemesis
from tests.nemesis.journal import Journal, read_journals
from tests.nemesis.site import ENDS, ROOT, Site, until

CLIENTS = 8
WORKERS = 4
AT_ONCE = 2
SAMPLE_SECONDS = 5.0


@dataclass
class Run:
    """What is going on."""

    site: Site
    shared: Shared
    nemesis: Nemesis
    seconds: float
    journal: Journal
    began: float = field(default_factory=time.monotonic)
    active: list[tuple[float, Fault]] = field(default_factory=list)
    sampled_at: float = 0.0
    looked_at: float = 0.0
    restarted_at: dict[str, float] = field(default_factory=dict)

    def say(self, text: str) -> None:
        print(f"{time.monotonic() - self.began:7.1f} s  {text}", flush=True)

    def play(self, random: random.Random) -> None:
        """Begin and heal faults until the time is over, then heal the rest."""
        next_at = self.began + 3
        while time.monotonic() - self.began < self.seconds:
            self._heal(time.monotonic())
            self._look_after()
            if time.monotonic() >= next_at and len(self.active) < AT_ONCE:
                self._begin(self.nemesis.draw({fault.place for _, fault in self.active}))
                next_at = time.monotonic() + random.uniform(3, 7)
            self._sample()
            time.sleep(0.1)
        self._heal(float("inf"))
        self.site.to_site.heal()
        self.site.to_broker.heal()

    def _begin(self, fault: Fault) -> None:
        self.say(f"{fault.name}, for {fault.seconds:.1f} s")
        self.journal.note("fault", True, more={"name": fault.name, "seconds": fault.seconds})
        fault.begin()
        self.active.append((time.monotonic() + fault.seconds, fault))

    def _heal(self, now: float) -> None:
        for due, fault in list(self.active):
            if due <= now:
                fault.heal()
                self.active.remove((due, fault))
                self.journal.note("heal", True, more={"name": fault.name})

    def _look_after(self) -> None:
        """As a service manager does: what ended by itself is started again, at most once a second each."""
        self._lift_suspensions()
        held = {fault.place for _, fault in self.active}
        for daemon in (self.site.web, self.site.housekeeping, *self.site.workers):
            fresh = time.monotonic() - self.restarted_at.get(daemon.name, 0.0) < 1
            if not daemon.alive and daemon.name not in held and not fresh:
                self.restarted_at[daemon.name] = time.monotonic()
                self.say(f"{daemon.name} had ended with {daemon.exit_code}; started again")
                self.journal.note("restart", True, more={"name": daemon.name})
                daemon.restart()

    def _lift_suspensions(self) -> None:
        """As the person on duty does: a worker that was suspended for faults which are ours gets jobs again."""
        if time.monotonic() - self.looked_at < 2:
            return
        self.looked_at = time.monotonic()
        with contextlib.suppress(httpx.HTTPError, ValueError, KeyError):
            for worker in self.site.api("GET", "workers", timeout=2).json()["items"]:
                if worker.get("suspended"):
                    answer = self.site.lift_suspension(worker["id"])
                    self.journal.note("lift", answer.is_success, status=answer.status_code)
                    self.say(f"{worker['name']} was suspended; lifted: {answer.status_code}")

    def _sample(self) -> None:
        """What the web process holds: memory and descriptors."""
        if time.monotonic() - self.sampled_at < SAMPLE_SECONDS or not self.site.web.alive:
            return
        self.sampled_at = time.monotonic()
        with contextlib.suppress(psutil.Error):
            web = psutil.Process(self.site.web.pid)
            more = {"pid": web.pid, "rss": web.memory_info().rss, "descriptors": web.num_fds()}
            self.journal.note("sample", True, more=more)

    def wait_for_quiet(self) -> None:
        """Everything runs again; paused jobs are resumed; until all jobs have ended, or for so long."""
        self._look_after()
        until("the site answers after healing", self.site.answers, 60)
        limit = 60 + 5 * len(self._open())
        self.say(f"healed; {len(self._open())} jobs open; quiet for at most {limit} s")
        with contextlib.suppress(AssertionError):
            until("all jobs have ended", self._all_ended, limit)
        with contextlib.suppress(AssertionError):
            until("no process of an attempt lives", lambda: not self.site.marked(), 15)

    def _open(self) -> list[dict[str, Any]]:
        return [job for job in every_job(self.site) if job["state"] not in ENDS]

    def _all_ended(self) -> bool:
        time.sleep(0.5)
        self._look_after()
        try:
            waiting = self._open()
            for job in waiting:
                if job["state"] == "paused":
                    self.site.api("POST", f"jobs/{job['id']}/resume")
        except (httpx.HTTPError, ValueError, KeyError):
            return False
        return not waiting


def every_job(site: Site) -> list[dict[str, Any]]:
    """All jobs as the API lists them."""
    found: list[dict[str, Any]] = []
    cursor: Any = None
    while True:
        page = site.api("GET", "jobs", params={"limit": 200} | ({"cursor": cursor} if cursor else {})).json()
        found += page["items"]
        cursor = page.get("next")
        if not cursor or not page["items"]:
            return found


def run(site: Site, seconds: float, seed: int, jobs: int, workers: int = WORKERS) -> Evidence:
    """Start the workers and clients, play, wait, and collect. The site goes on running."""
    for _ in range(workers):
        site.add_worker().start()
    until("the workers are online", lambda: len(site.online()) == workers, 60)
    shared = Shared(site, jobs, seconds, reorders=_can_reorder(site))
    nemesis = Nemesis(site, random.Random(seed), shared.touched)
    playing = Run(site, shared, nemesis, seconds, Journal(site.journals, "nemesis"))
    clients = [Client(number, shared, seed * 1000 + number) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        playing.play(random.Random(seed + 1))
    finally:
        shared.stop.set()
        for client in clients:
            client.join(40)
    playing.wait_for_quiet()
    return evidence_of(site, nemesis)


def _can_reorder(site: Site) -> bool:
    paths = site.api("GET", "openapi.json").json()["paths"]
    return any("patch" in verbs for path, verbs in paths.items() if path.rstrip("/").endswith("jobs/{job_id}"))


def evidence_of(site: Site, nemesis: Nemesis) -> Evidence:
    secrets = [json.loads(line) for line in site.secrets.read_text().splitlines()]
    evidence = collected(site, secrets)
    evidence.journal = read_journals(site.journals)
    evidence.orders = nemesis.orders
    evidence.shown = {job["id"]: job["state"] for job in every_job(site)}
    evidence.leftovers = [f"{process.pid} {process.name()}" for process in site.marked()]
    evidence.told += [f"{path}" for path in _files_with(site, secrets)] + _keys_with(site, secrets)
    return evidence


def collected(site: Site, secrets: list[str] | None = None) -> Evidence:
    """What the database and the stored files say now."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.nemesis.collecting"],
        cwd=ROOT,
        env=site.environment,
        input=json.dumps(secrets or []).encode(),
        capture_output=True,
        timeout=300,
        check=True,
    )
    return of_database(json.loads(done.stdout))


def _files_with(site: Site, secrets: list[str]) -> list[Path]:
    """Logs, stored files and what the broker wrote down; not where a secret is kept on purpose."""
    kept_on_purpose = {site.broker.settings.name, "password", "token.json", "secret_key"}
    wanted = [secret.encode() for secret in secrets]
    places = [site.logs, site.var / "files", site.var / "valkey", site.var / "workers"]
    files = [path for place in places for path in place.rglob("*") if path.is_file()]
    found = []
    for path in files:
        if path.name not in kept_on_purpose:
            content = path.read_bytes()
            if any(secret in content for secret in wanted):
                found.append(path)
    return found


def _keys_with(site: Site, secrets: list[str]) -> list[str]:
    """What the broker holds now."""
    found = []
    with redis.Redis.from_url(site.broker.url, protocol=2) as client:
        for key in client.scan_iter():
            dump = key + (client.dump(key) or b"")
            if any(secret.encode() in dump for secret in secrets):
                found.append(f"broker key {key!r}")
    return found
