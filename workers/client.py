"""The HTTP calls a worker may make: one try each, with typed answers and errors; when to try again is the caller's.

`patiently` is the one rule for trying again: 0.5 s doubling to 10 s, or as long as the site asks for.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx

from workers.protocol import FileRef, Timings, Wish, WorkerReport

CHUNK_BYTES = 1024 * 1024
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 10.0
POLL_SECONDS = 0.05
TIMEOUT = httpx.Timeout(30.0, connect=5.0)
LOOPBACK = ("127.0.0.1", "::1", "localhost")

Answer = TypeVar("Answer")


def never() -> bool:
    return False


class StaleAttempt(Exception):
    """The site has ended this attempt or inspection: stop now, write nothing more."""


class UnknownToken(Exception):
    """The site does not know this worker's token (any more)."""


class SiteUnreachable(Exception):
    """No usable answer. Try again later; `retry_after_seconds` is what the site asked for, if it did."""

    def __init__(self, what: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(what)
        self.retry_after_seconds = retry_after_seconds


class ArrivedDamaged(SiteUnreachable):
    """A file came whole, but it is not the announced one: damaged on its way, or where the site keeps it."""


class SiteRefused(Exception):
    """The site answered that this request is wrong; the same one will be refused again."""

    def __init__(self, status: int, code: str, message: str, hint: str) -> None:
        super().__init__(f"{message} {hint}".strip())
        self.status, self.code = status, code


@dataclass(frozen=True)
class Enrolment:
    """What a worker gets once for its one-time key."""

    token: str
    worker_id: int
    name: str
    pool: str
    broker_url: str | None


@dataclass(frozen=True)
class HelloAnswer:
    work_waiting: bool
    drain: bool
    """Take no more; what runs may finish."""
    remove: bool
    lowest_protocol: int
    timings: Timings


@dataclass(frozen=True)
class EventsAnswer:
    acked_seq: int
    wish: Wish


class SiteClient:
    """The worker's own calls. Thread-safe; holds the connections for every attempt too."""

    def __init__(self, site: str, token: str = "") -> None:
        self.site = site.rstrip("/")
        local = urlsplit(self.site).hostname in LOOPBACK
        self._http = httpx.Client(base_url=f"{self.site}/api/worker/", timeout=TIMEOUT, trust_env=not local)
        self.token = token

    def enrol(self, key: str, hostname: str, version: str, protocol: int) -> Enrolment:
        """Exchange a one-time key for a token. Raises SiteRefused (403) with the site's sentence."""
        body = {"key": key, "hostname": hostname, "version": version, "protocol": protocol}
        return _understood(self.post("enrol", "", body), lambda said: Enrolment(**said))

    def hello(self, report: WorkerReport) -> HelloAnswer:
        """Raises UnknownToken, and SiteRefused `worker_running` if another process uses the token."""
        return _understood(self.post("hello", self.token, report.as_json()), _hello_answer)

    def claim(self, body: dict[str, Any]) -> dict[str, Any] | None:
        """The claimed job or inspection as the site sent it; None if there is nothing to do."""
        answer = self.post("claim", self.token, body)
        return None if answer.status_code == httpx.codes.NO_CONTENT else _understood(answer, dict)

    def post(self, path: str, token: str, body: dict[str, Any] | str) -> httpx.Response:
        content = body if isinstance(body, str) else json.dumps(body, allow_nan=False)
        return self.call("POST", path, token, content=content, headers={"Content-Type": "application/json"})

    def call(self, method: str, path: str, token: str, **how: Any) -> httpx.Response:
        """One request. Raises UnknownToken, SiteUnreachable, SiteRefused."""
        headers = how.pop("headers", {}) | _bearer(token)
        try:
            answer = self._http.request(method, path, headers=headers, **how)
        except httpx.HTTPError as error:
            raise SiteUnreachable(f"{self.site} does not answer: {error or type(error).__name__}.") from error
        _check(answer)
        return answer

    def download(self, path: str, token: str, file: FileRef, target: Path, give_up: Callable[[], bool] = never) -> None:
        """Stream one file to `target`. Raises SiteUnreachable too if given up or if another sha256 came."""
        digest = hashlib.sha256()
        try:
            with self._http.stream("GET", path, headers=_bearer(token)) as answer, target.open("wb") as out:
                if answer.is_error:
                    answer.read()
                _check(answer)
                for chunk in answer.iter_bytes(CHUNK_BYTES):
                    if give_up():
                        raise SiteUnreachable(f"Fetching {file.name} was given up.")
                    digest.update(chunk)
                    out.write(chunk)
        except httpx.HTTPError as error:
            raise SiteUnreachable(f"{self.site} broke off while sending {file.name}: {error}.") from error
        if digest.hexdigest() != file.sha256:
            raise ArrivedDamaged(f"{file.name} arrived damaged: its sha256 differs from the announced one.")

    def close(self) -> None:
        self._http.close()


class Claimed:
    """The calls that one claimed attempt or inspection may make with its own token."""

    def __init__(self, site: SiteClient, room: str, number: int, token: str) -> None:
        self._site, self._base, self._token = site, f"{room}/{number}", token

    def post(self, verb: str, body: dict[str, Any] | str) -> dict[str, Any]:
        answer = self._fenced(lambda: self._site.post(f"{self._base}/{verb}", self._token, body))
        return _understood(answer, dict) if answer.content else {}

    def send_events(self, first_seq: int, events: list[str]) -> EventsAnswer:
        """One batch of events, each one JSON text; an empty one is the heartbeat."""
        said = self.post("events", f'{{"first_seq":{first_seq},"events":[{",".join(events)}]}}')
        if not {"acked_seq", "wish"} <= said.keys():
            raise SiteUnreachable("The site's answer to a batch of events is incomplete.")
        return EventsAnswer(said["acked_seq"], said["wish"])

    def download(self, file: FileRef, target: Path, give_up: Callable[[], bool] = never) -> None:
        path = f"{self._base}/inputs/{file.sha256}"
        self._fenced(lambda: self._site.download(path, self._token, file, target, give_up))

    def upload(self, file: FileRef, chunks: Iterator[bytes]) -> None:
        """Stream one file's bytes; there already is fine."""
        headers = {"Content-Length": str(file.bytes), "Content-Type": "application/octet-stream"}
        path = f"{self._base}/files/{file.sha256}"
        self._fenced(lambda: self._site.call("PUT", path, self._token, content=chunks, headers=headers))

    def _fenced(self, call: Callable[[], Answer]) -> Answer:
        try:
            return call()
        except UnknownToken as error:
            raise StaleAttempt("The site does not know this attempt any more.") from error
        except SiteRefused as error:
            if error.status == httpx.codes.CONFLICT:
                raise StaleAttempt(str(error)) from error
            raise


def patiently(
    call: Callable[[], Answer], give_up: Callable[[], bool] = never, limit_seconds: float | None = None
) -> Answer:
    """Call until the site answers. Raises the last SiteUnreachable at the limit or once `give_up()` is true."""
    until = float("inf") if limit_seconds is None else time.monotonic() + limit_seconds
    pause = FIRST_PAUSE_SECONDS
    while True:
        try:
            return call()
        except SiteUnreachable as error:
            again_at = time.monotonic() + (pause if error.retry_after_seconds is None else error.retry_after_seconds)
            while time.monotonic() < again_at:
                if give_up() or again_at > until:
                    raise
                time.sleep(POLL_SECONDS)
            pause = next_pause(pause)


def next_pause(pause: float) -> float:
    return min(pause * 2, LONGEST_PAUSE_SECONDS)


def _hello_answer(said: dict[str, Any]) -> HelloAnswer:
    known = {name: said["timings"][name] for name in Timings.__dataclass_fields__ if name in said["timings"]}
    return HelloAnswer(said["work_waiting"], said["drain"], said["remove"], said["lowest_protocol"], Timings(**known))


def _understood(answer: httpx.Response, build: Callable[[dict[str, Any]], Answer]) -> Answer:
    """What a proxy's own page says instead of the site is no answer."""
    try:
        return build(answer.json())
    except (ValueError, TypeError, KeyError) as error:
        raise SiteUnreachable(f"{answer.url} answered something that is not the worker API.") from error


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def _check(answer: httpx.Response) -> None:
    status = answer.status_code
    if answer.is_success:
        return
    if status == httpx.codes.UNAUTHORIZED:
        raise UnknownToken("The site does not know this worker's token.")
    if answer.is_client_error and status not in (httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_MANY_REQUESTS):
        raise _refusal(answer)
    raise SiteUnreachable(f"The site answered {status}.", _retry_after(answer))


def _retry_after(answer: httpx.Response) -> float | None:
    text = answer.headers.get("Retry-After", "")
    return min(float(text), 60.0) if text.isdigit() else None


def _refusal(answer: httpx.Response) -> SiteRefused:
    try:
        error = answer.json()["error"]
        return SiteRefused(answer.status_code, str(error["code"]), str(error["message"]), str(error.get("hint") or ""))
    except (ValueError, KeyError, TypeError):
        return SiteRefused(answer.status_code, "unknown", f"The site answered {answer.status_code}.", "")
