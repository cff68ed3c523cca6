"""A worker of protocol 1, written from the protocol's description and not from today's worker: plain HTTP calls.

It stands for what a rolling deploy has not reached yet, and serves as a source of events as fast as a test wants them.
"""

from __future__ import annotations

import hashlib
import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import httpx

from tests.nemesis.site import Site, until

BEAT_SECONDS = 0.5
DEVICE = {"index": 0, "kind": "cpu", "name": "an old CPU", "memory_bytes": 2**33, "memory_free_bytes": 2**32}


class OldWorker:
    """One slot on one CPU. Enrols with the site's next unused key."""

    def __init__(self, site: Site, timeout_seconds: float = 30) -> None:
        one_call_each = httpx.Limits(max_keepalive_connections=0)  # a kept connection would not survive a restart
        self.http = httpx.Client(
            base_url=f"{site.url}/api/worker/", timeout=timeout_seconds, trust_env=False, limits=one_call_each
        )
        self.boot_id = uuid.uuid4().hex
        key = site.seeded.worker_keys[site.keys_used]
        site.keys_used += 1
        body = {"key": key, "hostname": "old-machine", "version": "0.1.0", "protocol": 1}
        self.token = self._post("enrol", "", body)["token"]

    def __enter__(self) -> OldWorker:
        self.hello()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()

    def _post(self, path: str, token: str, body: dict[str, Any]) -> Any:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        answer = self.http.post(path, json=body, headers=headers)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def hello(self) -> dict[str, Any]:
        report = {
            "boot_id": self.boot_id,
            "hostname": "old-machine",
            "version": "0.1.0",
            "slots": 1,
            "busy_slots": 0,
            "threads_per_slot": 1,
            "cores": 1,
            "devices": [DEVICE],
            "draining": False,
            "isolation": {},
            "protocol": 1,
        }
        answer: dict[str, Any] = self._post("hello", self.token, report)
        return answer

    def claim(self) -> Attempt | None:
        body = {"claim_id": uuid.uuid4().hex, "boot_id": self.boot_id, "slot": 0, "threads": 1, "device": DEVICE}
        claimed = self._post("claim", self.token, body)
        if claimed is None:
            return None
        return Attempt(self.http, claimed["attempt"], claimed["token"], claimed["spec"]["job_id"])

    def claim_one(self) -> Attempt:
        attempt: Attempt = until("a job for the old worker", self.claim, 15)
        return attempt


@dataclass
class Attempt:
    """What it does with a claimed job."""

    http: httpx.Client
    id: int
    token: str
    job: int
    said: int = 0
    step: int = 0

    def post(self, verb: str, body: dict[str, Any]) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"}
        answer = self.http.post(f"attempts/{self.id}/{verb}", json=body, headers=headers)
        answer.raise_for_status()
        return answer.json()

    def say(self, *events: dict[str, Any]) -> int:
        """One batch; the highest number that the site has kept."""
        body = {"first_seq": self.said + 1, "events": list(events)}
        acked: int = self.post("events", body)["acked_seq"]
        self.said += len(events)
        return acked

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Heartbeats for as long as the block lasts, through outages as well."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(BEAT_SECONDS):
                with suppress(httpx.HTTPError):
                    self.say()

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def points(self, count: int, series: int = 1) -> int:
        """So many steps more, each with so many numbers."""
        names = ["loss", *(f"series_{number}" for number in range(1, series))]
        steps = range(self.step + 1, self.step + count + 1)
        self.step += count
        return self.say(*({"kind": "metrics", "step": s, "values": dict.fromkeys(names, 1 / s)} for s in steps))

    def hand_in_artifact(self) -> None:
        weights = b"an old delta"
        listed = [{"name": "delta.json", "bytes": len(weights), "sha256": hashlib.sha256(weights).hexdigest()}]
        manifest = {"files": listed}
        text = json.dumps(manifest).encode()
        files = [*listed, {"name": "manifest.json", "bytes": len(text), "sha256": hashlib.sha256(text).hexdigest()}]
        for file, content in zip(files, (weights, text), strict=True):
            path = f"attempts/{self.id}/files/{file['sha256']}"
            self.http.put(path, content=content, headers={"Authorization": f"Bearer {self.token}"}).raise_for_status()
        self.post("artifacts", {"kind": "delta", "files": files, "manifest": manifest})

    def end(self, outcome: str, reason: str | None = None) -> str:
        state: str = self.post("end", {"outcome": outcome, "reason": reason, "last_seq": self.said})["state"]
        return state
