"""The plain reference site: the worker API in memory on a free port, so that a worker can be tested without Django."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from workers.protocol import BaseModelRef, DatasetRef, FileRef, JobSpec, Timings

ROWS = b'{"text": "good", "label": "1", "split": "train"}\n'
CONFIG = b'{"model_type": "bert"}'
TIMINGS = Timings(
    batch_seconds=0.1,
    lease_seconds=3,
    ack_limit_seconds=2,
    cancel_grace_seconds=0.5,
    drain_limit_seconds=3,
    no_progress_seconds=20,
    cut_off_seconds=20,
    hello_seconds=0.2,
)


def ref(name: str, content: bytes) -> FileRef:
    return FileRef(name, len(content), hashlib.sha256(content).hexdigest())


SPEC = JobSpec(
    job_id=1,
    name="toy",
    task="text-classification",
    base_model=BaseModelRef(1, "toy", "folder", "", (ref("config.json", CONFIG),)),
    dataset=DatasetRef(1, "rows", 1, len(ROWS), ref("rows.jsonl", ROWS).sha256, ("0", "1")),
    method="lora",
    options={},
    training={},
)


@dataclass
class Attempt:
    """What the site knows of one attempt or inspection."""

    acked: bool = False
    wish: str = "run"
    stale: bool = False
    events: list[dict[str, Any]] = field(default_factory=list)
    posts: list[int] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    checkpoints: list[dict[str, Any]] = field(default_factory=list)
    artifacts: list[dict[str, Any]] = field(default_factory=list)
    progress: list[str] = field(default_factory=list)
    end: dict[str, Any] | None = None
    refused: str = ""


class ReferenceSite:
    def __init__(self) -> None:
        self.inputs = {ref("", content).sha256: content for content in (ROWS, CONFIG)}
        self.waiting: list[dict[str, Any]] = []
        self.attempts: dict[int, Attempt] = {}
        self.hellos: list[dict[str, Any]] = []
        self.claims: list[dict[str, Any]] = []
        self.keys = {"one-time-key"}
        self.down = False
        self.takes_files = True
        self.timings = TIMINGS
        self.lock = threading.Lock()
        self.answer_hello: dict[str, Any] = {}

    def offer(self, attempt: int, **more: Any) -> Attempt:
        claim = {"kind": "job", "attempt": attempt, "number": 1, "token": f"delta_a_{attempt}", "lease_seconds": 3}
        self.waiting.append(claim | {"spec": SPEC.as_json(), "threads": 1, "checkpoint": None} | more)
        self.attempts[attempt] = Attempt()
        return self.attempts[attempt]

    def offer_inspection(self, number: int, question: dict[str, Any], files: list[FileRef]) -> Attempt:
        claim = {"kind": "inspection", "inspection": number, "token": f"delta_a_{number}", "lease_seconds": 3}
        self.waiting.append(claim | {"question": question, "files": [asdict(file) for file in files]})
        self.attempts[number] = Attempt()
        return self.attempts[number]

    def post(self, path: list[str], body: dict[str, Any]) -> tuple[int, Any]:
        match path:
            case ["enrol"]:
                if body["key"] not in self.keys:
                    return 403, error("worker.key", "The key is wrong.")
                self.keys.remove(body["key"])
                return 200, {"token": "delta_w_1", "worker_id": 1, "name": "w", "pool": "default", "broker_url": None}
            case ["hello"]:
                self.hellos.append(body)
                plain = {"work_waiting": False, "drain": False, "remove": False, "lowest_protocol": 1}
                return 200, plain | {"timings": asdict(self.timings)} | self.answer_hello
            case ["claim"]:
                self.claims.append(body)
                return (200, self.waiting.pop(0)) if self.waiting else (204, None)
            case [_, number, verb]:
                return self.report(self.attempts[int(number)], verb, body)
        return 404, error("unknown", "No such address.")

    def report(self, attempt: Attempt, verb: str, body: dict[str, Any]) -> tuple[int, Any]:
        if attempt.stale or (attempt.end and verb != "end"):
            return 409, error("stale_attempt", "Ended.")
        if verb == "ack":
            attempt.acked = True
        elif verb == "events":
            return self.take_events(attempt, body)
        elif verb == "progress":
            attempt.progress.append(body["text"])
            return 200, {"wish": attempt.wish, "lease_seconds": 3}
        elif verb == "end":
            attempt.end = body
            return 200, {"state": "whatever"}
        else:
            missing = [file for file in body["files"] if file["sha256"] not in attempt.files]
            if missing:
                return 422, error("report.missing", "A file is missing.")
            (attempt.checkpoints if verb == "checkpoints" else attempt.artifacts).append(body)
            return 201, {}
        return 200, {"lease_seconds": 3}

    def take_events(self, attempt: Attempt, body: dict[str, Any]) -> tuple[int, Any]:
        if attempt.refused and any(attempt.refused in json.dumps(event) for event in body["events"]):
            return 422, error("report.event", "An event is wrong.")
        known = len(attempt.events)
        if body["events"] and body["first_seq"] > known + 1:
            return 422, error("report.gap", "Events are missing.")
        attempt.events += body["events"][known + 1 - body["first_seq"] :]
        attempt.posts.append(len(body["events"]))
        return 200, {"acked_seq": len(attempt.events), "wish": attempt.wish, "lease_seconds": 3}


def error(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "where": "", "hint": "", "ref": ""}}


@contextmanager
def serving(site: ReferenceSite, port: int = 0) -> Iterator[str]:
    """The site's address while the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
            with site.lock:
                status, answer = (503, None) if site.down else site.post(self.path.split("/")[3:], body)
            self.answer(status, b"" if answer is None else json.dumps(answer).encode())

        def do_GET(self) -> None:
            content = site.inputs.get(self.path.rsplit("/", 1)[1])
            self.answer(503 if site.down else 404 if content is None else 200, content or b"")

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            _, number, _, sha256 = self.path.split("/")[3:]
            if site.down or not site.takes_files:
                return self.answer(503, b"")
            right = hashlib.sha256(body).hexdigest() == sha256
            site.attempts[int(number)].files[sha256] = body
            return self.answer(201 if right else 422, b"")

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *about: Any) -> None:
            """Tests are quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
