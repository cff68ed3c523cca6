"""What many live viewers wait and cost: a real site with one web process, workers that report, people who watch.

    python -m benchmarks.live [--viewers 500] [--events 1000] [--jobs 20] [--seconds 30] [--postgresql]

Every job gets a batch of its share of the events each second, and its share of the viewers; each viewer receives all
events of its job. An event counts as published when the broker's MONITOR saw its batch (the broker's own clock), and
as received when its last byte reached the viewer's socket. Prints a table; exit code 1 if a target is missed. Site,
workers and viewers share this machine, so other load makes every figure worse. Nothing is drawn at random.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import redis

from benchmarks.queue import Table
from tests.nemesis.old_worker import Attempt, OldWorker
from tests.nemesis.site import ROOT, Site, running_site
from webapp.broker import LIVE_PREFIX

A_PERSON = 10
"""As many streams as one person may have open."""
SERIES = 8
"""Numbers of each step, about as many as the training loop logs."""
SPARE_STREAMS = 100
Published = dict[int, dict[int, float]]
"""By job and event number: when, in unix time."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--viewers", type=int, default=500)
    parser.add_argument("--events", type=int, default=1000, help="a second, of all jobs together")
    parser.add_argument("--jobs", type=int, default=20)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--postgresql", action="store_true", help="PostgreSQL from its wheel instead of SQLite")
    asked = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {'PostgreSQL' if asked.postgresql else 'SQLite'}")
    table = Table()
    os.environ["DELTABOARD_LIVE_STREAMS"] = str(asked.viewers + SPARE_STREAMS)
    with tempfile.TemporaryDirectory(prefix="deltaboard-live-", ignore_cleanup_errors=True) as folder:
        people = -(-asked.viewers // A_PERSON)
        place = Path(folder) / "site"
        with running_site(place, people=people, workers=asked.jobs, postgresql=asked.postgresql, timings={}) as site:
            watched(table, site, asked, Path(folder) / "arrivals.json")
    print(f"Load at the end: {os.getloadavg()[0]:.1f}.", "All targets met." if not table.missed else "Missed:", end="")
    print(f" {', '.join(table.missed)}")
    return 1 if table.missed else 0


def watched(table: Table, site: Site, asked: argparse.Namespace, arrivals: Path) -> None:
    published: Published = {}
    web = psutil.Process(site.web.pid)
    with ExitStack() as stack:
        attempts = [_attempt_of(site, stack) for _ in range(asked.jobs)]
        feed(attempts, asked.events, 5)  # the heaps fill before memory is read
        alone = web.memory_info().rss
        jobs = {attempt.job: len(site.events(attempt.job)) for attempt in attempts}
        stack.enter_context(_monitored(site, published))
        viewers = stack.enter_context(_viewers(site, jobs, asked.viewers, arrivals))
        begun = time.monotonic()
        with ExitStack() as alive:
            for attempt in attempts:
                alive.enter_context(attempt.beating())
            assert viewers.stdout is not None
            assert viewers.stdout.readline() == "open\n", "the viewers did not all get in"
        opened = time.monotonic() - begun
        idle = web.memory_info().rss
        busy, before = web.cpu_times(), time.monotonic()
        waits = feed(attempts, asked.events, asked.seconds)
        took = time.monotonic() - before
        used = sum(web.cpu_times()[:2]) - sum(busy[:2])
        loaded = web.memory_info().rss
        time.sleep(1)  # the last events are on their way
        viewers.communicate("end\n", timeout=60)
    report(table, asked, published, json.loads(arrivals.read_text()))
    table.row("step's batch sent to accepted: p95", f"{1000 * _share(waits, 0.95):.0f} ms", "", None)
    table.row(f"{asked.viewers:,} streams open within", f"{opened:.1f} s", "", None)
    table.row("web process: processor time", f"{100 * used / took:.0f} % of one core", "", None)
    each = f"{(idle - alone) / asked.viewers / 1024:.1f}, {(loaded - alone) / asked.viewers / 1024:.1f} KiB"
    table.row("memory a viewer: waiting, after the load", each, "goal 25 KiB", None)
    table.row("web memory: alone, with viewers", f"{alone / 1e6:.0f}, {loaded / 1e6:.0f} MB", "", None)


def report(table: Table, asked: argparse.Namespace, published: Published, seen: dict[str, Any]) -> None:
    """From who saw which events when, to how long they were on their way."""
    waits = sorted(at - published[job][n] for job, first, last, at in seen["arrivals"] for n in range(first, last + 1))
    rate = sum(map(len, published.values())) / asked.seconds
    name = f"{asked.viewers:,} viewers of {asked.jobs} jobs, {asked.seconds} s"
    table.row(name, f"{rate:,.0f} events/s", f"{asked.events:,}/s", rate >= 0.95 * asked.events)
    table.row("events received", f"{len(waits):,}", "", None)
    p50, p99 = 1000 * _share(waits, 0.5), 1000 * _share(waits, 0.99)
    table.row("published to received: p50, p99", f"{p50:.0f}, {p99:.0f} ms", "p99 < 250 ms", p99 < 250)
    table.row("published to received: slowest", f"{1000 * waits[-1]:.0f} ms", "", None)
    faults, cut = seen["faults"], seen["cut"]
    table.row("gaps and doubles, streams cut", f"{faults}, {cut}", "0, 0", faults + cut == 0)


def _share(waits: list[float], share: float) -> float:
    return sorted(waits)[int(share * (len(waits) - 1))]


def _attempt_of(site: Site, stack: ExitStack) -> Attempt:
    worker = stack.enter_context(OldWorker(site))
    site.submit(training={"max_steps": 10_000_000})
    attempt = worker.claim_one()
    attempt.post("ack", {})
    return attempt


def feed(attempts: list[Attempt], events: int, seconds: int) -> list[float]:
    """A batch a second from each attempt, one after the other within the second; how long each call took."""
    begun, share = time.monotonic(), events // len(attempts)

    def work(number: int) -> list[float]:
        waits = []
        for second in range(seconds):
            time.sleep(max(0.0, begun + second + number / len(attempts) - time.monotonic()))
            sent = time.monotonic()
            attempts[number].points(share, SERIES)
            waits.append(time.monotonic() - sent)
        return waits

    with ThreadPoolExecutor(len(attempts)) as pool:
        return [wait for waits in pool.map(work, range(len(attempts))) for wait in waits]


@contextmanager
def _viewers(site: Site, jobs: dict[int, int], count: int, arrivals: Path) -> Iterator[subprocess.Popen[str]]:
    """A process of their own, which is told on its standard input what to do: `jobs` and the cursors to begin at."""
    known = {"port": site.port, "tokens": site.seeded.tokens, "jobs": list(jobs.items())}
    task = known | {"viewers": count, "file": str(arrivals)}
    command = [sys.executable, "-m", "benchmarks.live_viewers"]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdin is not None
        process.stdin.write(json.dumps(task) + "\n")
        process.stdin.flush()
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def _monitored(site: Site, published: Published) -> Iterator[None]:
    """Fills `published` from the broker's MONITOR, whose lines carry the broker's own time."""
    numbers = re.compile(r'\\*"n\\*": (\d+)')

    def listen(monitor: Any) -> None:
        with suppress(redis.RedisError, OSError, ValueError):  # what a connection says that is closed at the end
            for said in monitor.listen():
                words = said["command"]
                if words.upper().startswith("PUBLISH ") and (match := re.search(rf"{LIVE_PREFIX}(\d+)", words)):
                    seen = dict.fromkeys(map(int, numbers.findall(words)), said["time"])
                    published.setdefault(int(match[1]), {}).update(seen)

    client: Any = redis.Redis.from_url(site.broker.url, protocol=2)
    with client.monitor() as monitor:
        threading.Thread(target=listen, args=(monitor,), daemon=True).start()
        yield


if __name__ == "__main__":
    sys.exit(main())
