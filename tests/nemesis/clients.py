"""Eight people's programs: they submit, cancel, pause, resume, retry, reorder and list jobs, and follow live streams.

Each runs in a thread of its own and writes into a journal of its own. A request whose answer was lost is sent again:
submits under the same idempotency key.
"""

from __future__ import annotations

import json
import random
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.nemesis.journal import Journal
from tests.nemesis.site import Site

TIMEOUT = httpx.Timeout(15.0, connect=3.0)
STREAM_TIMEOUT = httpx.Timeout(20.0, connect=3.0)
VIEWERS = 2


@dataclass
class Shared:
    """What the clients of a run know together."""

    site: Site
    jobs_wanted: int
    seconds: float
    reorders: bool
    """Whether this site's API can move a job in the queue."""
    stop: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    jobs: list[int] = field(default_factory=list)
    begun: int = 0
    touched: set[int] = field(default_factory=set)
    """Jobs that got a new place in the queue by somebody's wish."""
    began_at: float = field(default_factory=time.monotonic)

    def may_submit(self) -> bool:
        """Jobs come evenly over four fifths of the time."""
        with self.lock:
            due = self.jobs_wanted * (time.monotonic() - self.began_at) / (0.8 * self.seconds)
            if self.begun >= min(self.jobs_wanted, due):
                return False
            self.begun += 1
            return True


class Client(threading.Thread):
    """One person's program."""

    def __init__(self, number: int, shared: Shared, seed: int) -> None:
        super().__init__(name=f"client-{number}", daemon=True)
        self.number, self.shared, self.random = number, shared, random.Random(seed)
        self.journal = Journal(shared.site.journals, self.name)
        token = shared.site.seeded.tokens[number]
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        self.cursors: dict[int, int] = {}
        self.http = httpx.Client(
            base_url=f"{shared.site.url}/api/v1/", headers=headers, timeout=TIMEOUT, trust_env=False
        )

    def run(self) -> None:
        while not self.shared.stop.is_set():
            if self.number < VIEWERS:
                self._view()
            elif self.shared.may_submit():
                self._submit()
            else:
                self._meddle()
            self.shared.stop.wait(self.random.uniform(0.1, 0.6))
        self.http.close()

    def call(self, op: str, method: str, path: str, job: int | None = None, **how: Any) -> httpx.Response | None:
        """One request, written down; None if no answer came."""
        sent = time.monotonic()
        try:
            answer = self.http.request(method, path, **how)
        except httpx.HTTPError as error:
            self.journal.note(op, False, sent, job=job, more={"lost": type(error).__name__})
            return None
        if op == "submit" and answer.status_code == 201:
            job = answer.json()["id"]
        more = {} if answer.is_success else {"said": answer.text[:200]}
        self.journal.note(op, answer.is_success, sent, job=job, status=answer.status_code, more=more)
        return answer

    def _submit(self) -> None:
        """Until the site says 201: a lost answer does not make a second job."""
        key = {"Idempotency-Key": uuid.UUID(int=self.random.getrandbits(128)).hex}
        body = self.shared.site.seeded.new_job(priority=self.random.choice([0, 0, 0, 1]))
        while not self.shared.stop.is_set():
            answer = self.call("submit", "POST", "jobs", json=body, headers=key)
            if answer is not None and answer.status_code == 201:
                with self.shared.lock:
                    self.shared.jobs.append(answer.json()["id"])
                return
            self.shared.stop.wait(0.5)

    def _meddle(self) -> None:
        job = self._some_job()
        if job is None:
            return
        verb = self.random.choices(
            ["list", "read", "cancel", "pause", "resume", "retry", "reorder"], [8, 8, 2, 3, 6, 2, 3]
        )[0]
        if verb == "list":
            self.call("list", "GET", "jobs", params={"limit": 50})
        elif verb == "read":
            self.call("read", "GET", f"jobs/{job}", job)
        elif verb == "reorder":
            self._reorder(job)
        else:
            self._act(verb, job)

    def _act(self, verb: str, job: int) -> None:
        if verb == "resume":
            self._touch(job)
        answer = self.call(verb, "POST", f"jobs/{job}/{verb}", job)
        if verb == "retry" and answer is not None and answer.is_success:
            with self.shared.lock:
                self.shared.jobs.append(answer.json()["id"])

    def _reorder(self, job: int) -> None:
        if not self.shared.reorders:
            return
        self._touch(job)
        self.call("reorder", "PATCH", f"jobs/{job}", job, json={"priority": self.random.choice([0, 1])})

    def _touch(self, job: int) -> None:
        with self.shared.lock:
            self.shared.touched.add(job)

    def _some_job(self) -> int | None:
        with self.shared.lock:
            newest = self.shared.jobs[-40:]
        return self.random.choice(newest) if newest else None

    def _view(self) -> None:
        """Follow one job from its first event to its last, through every broken connection."""
        job = self._some_job()
        if job is None:
            return
        while not self.shared.stop.is_set():
            stream = Stream(self, job, self.cursors.get(job, 0))
            over = stream.read(until=time.monotonic() + self.random.uniform(3, 12))
            self.cursors[job] = stream.last
            if over:
                return
            self.shared.stop.wait(0.3)


class Stream:
    """One connection to a job's live stream."""

    def __init__(self, client: Client, job: int, cursor: int) -> None:
        self.client, self.job, self.first, self.last, self.whole = client, job, 0, cursor, True

    def read(self, until: float) -> bool:
        """Read on until then; True once the job's end was seen."""
        over = False
        try:
            with self._opened() as answer:
                self.client.journal.note(
                    "open stream", answer.status_code < 400, job=self.job, status=answer.status_code
                )
                if answer.status_code == 204:
                    return True
                over = answer.status_code == 200 and self._take(answer, until)
        except (httpx.HTTPError, ValueError):  # broken off, perhaps in the middle of a line
            pass  # the next connection goes on from the last event
        finally:
            self._note()
        return over

    @contextmanager
    def _opened(self) -> Iterator[httpx.Response]:
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(self.last)}
        path = f"jobs/{self.job}/events"
        with self.client.http.stream("GET", path, headers=headers, timeout=STREAM_TIMEOUT) as answer:
            yield answer

    def _take(self, answer: httpx.Response, until: float) -> bool:
        for line in answer.iter_lines():
            if line.startswith("data: "):
                message = json.loads(line[6:])
                self.whole = self.whole and message["n"] == self.last + 1
                self.first, self.last = self.first or message["n"], message["n"]
                if message["kind"] == "end":
                    return True
            if time.monotonic() > until:
                return False
        return False

    def _note(self) -> None:
        """One line for all that came through this connection, and where the one before had stopped."""
        if self.first:
            more = {"first": self.first, "last": self.last, "whole": self.whole}
            self.client.journal.note("stream", self.whole, job=self.job, more=more)
