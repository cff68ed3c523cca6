"""A hundred people at once on a real site: what they wait for pages while they work, and while all of them sign in.

    python -m benchmarks.people [--seconds 60] [--rate 50] [--postgresql]

Prints a table with the target of each figure; exit code 1 if one is missed. Uvicorn, housekeeping, Valkey and the
hundred people share this machine, so other load makes every figure worse. Requests are drawn at random with a seed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import secrets
import statistics
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx

from benchmarks.queue import Table
from tests.nemesis.site import Site, running_site

PEOPLE, JOBS, SEED = 100, 200, 7
PAGES = ("/", "/jobs/{job}/", "/datasets/", "/models/", "/workers/", "/jobs/new/")
CALLS = (
    "/api/v1/jobs",
    "/api/v1/jobs/{job}",
    "/api/v1/workers",
    "/api/v1/methods",
    "/api/v1/jobs/{job}/events?after=0",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--rate", type=int, default=50, help="requests a second of all people together")
    parser.add_argument("--postgresql", action="store_true", help="PostgreSQL from its wheel instead of SQLite")
    asked = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {'PostgreSQL' if asked.postgresql else 'SQLite'}")
    table, password = Table(), secrets.token_urlsafe(12)
    with tempfile.TemporaryDirectory(prefix="deltaboard-people-", ignore_cleanup_errors=True) as folder:
        place = Path(folder) / "site"
        with running_site(place, people=PEOPLE, workers=2, postgresql=asked.postgresql, timings={}) as site:
            people = entered(site, password)
            at_work(table, site, people, asked)
            signing_in(table, site, people[0], password)
    print("All targets met." if not table.missed else f"Missed: {', '.join(table.missed)}.")
    return 1 if table.missed else 0


def entered(site: Site, password: str) -> list[dict[str, str]]:
    """The cookies of every person."""
    found = json.loads(site.run("-m", "benchmarks.people_filling", password, str(JOBS)))
    return [{found["cookie"]: session} for session in found["sessions"]]


def at_work(table: Table, site: Site, people: list[dict[str, str]], asked: argparse.Namespace) -> None:
    """Pages and calls in equal shares, spread evenly over time; each person keeps a connection."""
    drawn = random.Random(SEED)
    wanted = [
        (drawn.randrange(PEOPLE), drawn.choice(PAGES if drawn.random() < 0.5 else CALLS), drawn.randint(1, JOBS))
        for _ in range(asked.rate * asked.seconds)
    ]
    with ExitStack() as stack:
        browsers = [stack.enter_context(_browser(site, cookies)) for cookies in people]
        begun = time.monotonic()

        def one(number: int) -> tuple[float, int]:
            person, path, job = wanted[number]
            due = begun + number / asked.rate
            time.sleep(max(0.0, due - time.monotonic()))
            status = browsers[person].get(path.format(job=job)).status_code
            return time.monotonic() - due, status

        with ThreadPoolExecutor(PEOPLE) as pool:
            answers = list(pool.map(one, range(len(wanted))))
        took = time.monotonic() - begun
    waits = sorted(wait for wait, _ in answers)
    errors = sum(status != 200 for _, status in answers)
    rate = len(answers) / took
    table.row(
        f"{PEOPLE} people for {asked.seconds} s", f"{rate:.0f} requests/s", f"{asked.rate}/s", rate > 0.95 * asked.rate
    )
    p95, p99 = waits[int(0.95 * len(waits))], waits[int(0.99 * len(waits))]
    table.row("their waits: median", f"{1000 * statistics.median(waits):.0f} ms", "", None)
    table.row("their waits: p95, p99", f"{1000 * p95:.0f}, {1000 * p99:.0f} ms", "200, 500 ms", p95 < 0.2 and p99 < 0.5)
    table.row("errors", str(errors), "0", errors == 0)


def _browser(site: Site, cookies: dict[str, str] | None = None) -> httpx.Client:
    """Calls of the API are answered in JSON, everything else as a page."""
    headers = {"Accept": "text/html, application/json"}
    return httpx.Client(base_url=site.url, cookies=cookies, headers=headers, timeout=120, trust_env=False)


def signing_in(table: Table, site: Site, cookies: dict[str, str], password: str) -> None:
    """All at once by name and password, while somebody who is signed in opens pages, five a second."""
    begun = threading.Barrier(PEOPLE + 1)
    over = threading.Event()

    def sign_in(number: int) -> float:
        with _browser(site) as browser:
            form = browser.get("/sign-in/").text
            token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form)
            assert token
            data = {"csrfmiddlewaretoken": token[1], "username": f"person-{number}", "password": password}
            begun.wait()
            before = time.monotonic()
            answer = browser.post("/sign-in/", data=data)
            assert answer.status_code == 302, answer.text[:500]
            return time.monotonic() - before

    def look() -> list[float]:
        waits: list[float] = []
        with _browser(site, cookies) as browser:
            begun.wait()
            while not over.is_set():
                before = time.monotonic()
                browser.get(PAGES[len(waits) % len(PAGES)].format(job=1)).raise_for_status()
                waits.append(time.monotonic() - before)
                time.sleep(0.2)
        return sorted(waits)

    with ThreadPoolExecutor(PEOPLE + 1) as pool:
        looking = pool.submit(look)
        took = sorted(pool.map(sign_in, range(PEOPLE)))
        over.set()
        waits = looking.result()
    p95 = waits[int(0.95 * len(waits))]
    table.row(f"{PEOPLE} sign in at once: median, last", f"{statistics.median(took):.1f}, {took[-1]:.1f} s", "", None)
    table.row("other pages meanwhile: median", f"{1000 * statistics.median(waits):.0f} ms", "", None)
    table.row(f"other pages meanwhile: p95 of {len(waits)}", f"{1000 * p95:.0f} ms", "< 1,000 ms", p95 < 1)


if __name__ == "__main__":
    sys.exit(main())
