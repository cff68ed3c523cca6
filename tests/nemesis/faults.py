"""What the nemesis may do to a site: each fault begins, lasts a while, and is healed. None touches a foreign process.

The numbers in the names are lines of the fault table in the promises.
"""

from __future__ import annotations

import contextlib
import random
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx
import psutil
import psycopg
import redis

from tests.faults.chaos_proxy import ChaosProxy, Rule
from tests.nemesis.evidence import Order
from tests.nemesis.site import SHORT_TIMINGS, Daemon, Site, until

LEASE_SECONDS = SHORT_TIMINGS["lease_seconds"]
Step = Callable[[], None]


def nothing() -> None:
    """For a fault that heals by itself."""


@dataclass
class Fault:
    """One thing that goes wrong. `place` is what it holds: two faults at once never hold the same place."""

    name: str
    place: str
    seconds: float
    begin: Step
    heal: Step = nothing


@dataclass
class Nemesis:
    """Draws faults for one site. All drawing comes from `random`, so that a seed gives the same schedule."""

    site: Site
    random: random.Random
    touched: Callable[[], set[int]]
    orders: list[Order] = field(default_factory=list)

    def draw(self, held: set[str]) -> Fault:
        """A fault whose place is free."""
        while True:
            fault = self.random.choice(self._all())()
            if fault.place not in held:
                return fault

    def _all(self) -> list[Callable[[], Fault]]:
        of_workers = [self.worker_killed, self.worker_killed, self.worker_stopped, self.trainer_killed]
        of_site = [self.web_killed, self.housekeeping_killed, self.second_housekeeping, self.database_locked]
        of_broker = [self.broker_killed, self.broker_wiped, self.broker_stopped, self.broker_blackholed]
        of_network = [self.network_spoilt, self.network_spoilt, self.claim_reply_lost, self.uploads_blackholed]
        return [*of_workers, self.worker_drained, self.cut_off, *of_site, *of_broker, *of_network]

    # ---- Workers --------------------------------------------------------------------------------

    def _worker(self) -> Daemon:
        return self.random.choice(self.site.workers)

    def worker_killed(self) -> Fault:
        worker = self._worker()
        return Fault(f"1 kill -9 {worker.name}", worker.name, self._between(0.5, 4), worker.kill, worker.restart)

    def worker_stopped(self) -> Fault:
        """Longer than its lease: another one gets the job, and this one must write nothing after."""
        worker = self._worker()
        return Fault(
            f"6 SIGSTOP {worker.name}",
            worker.name,
            2 * LEASE_SECONDS,
            lambda: worker.signal(signal.SIGSTOP),
            lambda: worker.signal(signal.SIGCONT),
        )

    def trainer_killed(self) -> Fault:
        which = self.random.random()

        def kill() -> None:
            trainers = [each for each in self.site.marked() if _is_trainer(each)]
            if trainers:
                with contextlib.suppress(psutil.Error):
                    trainers[int(which * len(trainers))].kill()

        return Fault("2 kill -9 a trainer", "trainer", 0.1, kill)

    def worker_drained(self) -> Fault:
        worker = self._worker()

        def heal() -> None:
            worker.end(SHORT_TIMINGS["drain_limit_seconds"] + 10)
            worker.start()

        return Fault(
            f"7 SIGTERM {worker.name}", worker.name, self._between(2, 6), lambda: worker.signal(signal.SIGTERM), heal
        )

    def cut_off(self) -> Fault:
        """19: a worker that does not reach the site; all of them, since they share the way."""
        return self._on(
            self.site.to_site, "19 workers cut off from the site", Rule(blackhole=True), self._between(2, 8)
        )

    # ---- Site -----------------------------------------------------------------------------------

    def web_killed(self) -> Fault:
        return self._restarted("41 kill -9 web", self.site.web, self._between(0.3, 4))

    def housekeeping_killed(self) -> Fault:
        return self._restarted("56 kill -9 housekeeping", self.site.housekeeping, self._between(1, 5))

    def second_housekeeping(self) -> Fault:
        first = self.site.housekeeping
        second = Daemon("housekeeping-2", first.command, first.environment, self.site.logs / "housekeeping-2.log")
        return Fault("56 a second housekeeping", "housekeeping", self._between(5, 9), second.start, second.end)

    def database_locked(self) -> Fault:
        """22: somebody else's transaction holds the whole database."""
        seconds = self._between(1, 3)
        hold = self._lock_postgresql if self.site.postgresql is not None else self._lock_sqlite
        thread = threading.Thread(target=hold, args=(seconds,), daemon=True)
        return Fault("22 database locked", "database", seconds, thread.start, thread.join)

    def _lock_sqlite(self, seconds: float) -> None:
        with contextlib.closing(
            sqlite3.connect(self.site.var / "deltaboard.sqlite3", timeout=10, isolation_level=None)
        ) as database:
            database.execute("BEGIN EXCLUSIVE")
            time.sleep(seconds)
            database.execute("ROLLBACK")

    def _lock_postgresql(self, seconds: float) -> None:
        with psycopg.connect(self.site.postgresql.get_uri()) as database:
            database.execute("LOCK TABLE jobs_job, jobs_attempt IN ACCESS EXCLUSIVE MODE")
            time.sleep(seconds)
            database.rollback()

    # ---- Broker ---------------------------------------------------------------------------------

    def broker_killed(self) -> Fault:
        return self._restarted("13 kill -9 broker", self.site.valkey, self._between(0.5, 4))

    def broker_wiped(self) -> Fault:
        def wipe() -> None:
            with contextlib.suppress(redis.RedisError), redis.Redis.from_url(self.site.broker.url) as client:
                client.flushall()

        return Fault("14 FLUSHALL", "broker", 0.1, wipe)

    def broker_stopped(self) -> Fault:
        valkey = self.site.valkey
        return Fault(
            "15 SIGSTOP broker",
            "broker",
            self._between(2, 8),
            lambda: valkey.signal(signal.SIGSTOP),
            lambda: valkey.signal(signal.SIGCONT),
        )

    def broker_blackholed(self) -> Fault:
        rule = Rule(blackhole=True)
        return self._on(self.site.to_broker, "18 broker blackholed for workers", rule, self._between(4, 10))

    # ---- Network --------------------------------------------------------------------------------

    def network_spoilt(self) -> Fault:
        name, rule = self.random.choice(
            [
                ("delay", Rule(delay_seconds=0.5)),
                ("throttle", Rule(bytes_per_second=2000)),
                ("cut replies", Rule(cut_after_bytes=self.random.randint(1, 400))),
                ("cut requests", Rule(of="request", cut_after_bytes=self.random.randint(1, 400))),
                ("RST", Rule(reset=True)),
                ("drop replies", Rule(drop_reply=True, times=self.random.randint(1, 20))),
                ("drop ends' replies", Rule("POST .*/end", drop_reply=True, times=3)),
                ("drop acks' replies", Rule("POST .*/ack", drop_reply=True, times=3)),
                ("flip bytes of uploads", Rule("PUT ", of="request", flip_byte=3, times=3)),
            ]
        )
        return self._on(self.site.to_site, f"network: {name}", rule, self._between(2, 6))

    def claim_reply_lost(self) -> Fault:
        rule = Rule("POST .*/claim", drop_reply=True, times=self.random.randint(1, 4))
        return self._on(self.site.to_site, "10 claim replies lost", rule, self._between(2, 6))

    def uploads_blackholed(self) -> Fault:
        rule = Rule("PUT .*/files/", blackhole=True)
        return self._on(self.site.to_site, "20 uploads blackholed", rule, self._between(2, 8))

    def _on(self, proxy: ChaosProxy, name: str, rule: Rule, seconds: float) -> Fault:
        place = "way to the site" if proxy is self.site.to_site else "way to the broker"
        return Fault(name, place, seconds, lambda: proxy.add(rule), proxy.heal)

    # ---- Restarts and the queue's order ---------------------------------------------------------

    def _restarted(self, name: str, daemon: Daemon, seconds: float) -> Fault:
        place = "broker" if daemon is self.site.valkey else daemon.name
        before: list[tuple[int, ...]] = []
        touched: list[set[int]] = []

        def begin() -> None:
            before.append(self._order())
            touched.append(self.touched())
            daemon.kill()

        def heal() -> None:
            daemon.restart()
            with contextlib.suppress(AssertionError):
                until(f"{daemon.name} is back", self.site.answers, 10)
            moved = frozenset(self.touched() - touched[0])
            if before[0] and (after := self._order()):
                self.orders.append(Order(name, before[0], after, moved))

        return Fault(name, place, seconds, begin, heal)

    def _order(self) -> tuple[int, ...]:
        """The waiting jobs as the API lists them, best first; empty where it does not answer now."""
        try:
            answer = self.site.api("GET", "jobs", params={"state": "queued", "limit": 200}, timeout=5)
            items = answer.json()["items"] if answer.status_code == 200 else []
        except (httpx.HTTPError, ValueError):
            return ()
        placed = [each for each in items if each["queue_position"] is not None]
        return tuple(each["id"] for each in sorted(placed, key=lambda each: each["queue_position"]))

    def _between(self, least: float, most: float) -> float:
        return round(self.random.uniform(least, most), 2)


def _is_trainer(process: psutil.Process) -> bool:
    """The training itself, not the walls around it."""
    try:
        line: list[str] = process.cmdline()
    except psutil.Error:
        return False
    return len(line) > 3 and line[-2].endswith("trainer.py") and "python" in line[0]
