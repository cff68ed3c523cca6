"""How large a request may be, asked before a byte of it is kept: Django's ASGI door spools a whole body before it
knows who sends it.

Most calls are small. Files come in at few addresses, from known callers, with their length said and room on the disk.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.conf import settings
from django.db import connections
from django.http import HttpRequest

from webapp.accounts.asking import asked_by
from webapp.api_errors import body
from webapp.jobs.worker_auth import AttemptToken, InspectionToken
from webapp.outages import AWAY, fault_of
from webapp.storing import DiskNearlyFull, require_space

log = logging.getLogger(__name__)
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

SMALL_BYTES = 3 * 1024**2
FORM_AROUND_FILE_BYTES = 1024**2
LOOK_EVERY_BYTES = 16 * 1024**2
"""How often the disk is looked at while a file comes in: others may be filling it at the same time."""
UPLOADS = re.compile(
    r"/datasets/(upload|\d+/v\d+/save)/|/api/v1/(datasets(/\d+/versions)?|dataset-versions/\d+/second-file)/?"
)
PARTS = re.compile(r"/api/worker/(attempts|inspections)/\d+/files/[0-9a-f]{64}")


@dataclass
class Refused(Exception):
    """The body is not read on."""

    status: int
    code: str
    message: str


@dataclass
class Measured:
    """The request's body on its way in, stopped at `limit` bytes."""

    receive: Receive
    limit: int
    came: int = 0
    looked: int = 0

    async def __call__(self) -> dict[str, Any]:
        message = await self.receive()
        self.came += len(message.get("body", b""))
        if self.came > self.limit:
            raise _too_large(self.limit)
        if self.came - self.looked > LOOK_EVERY_BYTES:
            self.looked = self.came
            _require_room(0)
        return message


async def within_limits(application: Any, scope: Scope, receive: Receive, send: Send) -> None:
    """Let the request through, or answer it with the reason and hang up."""
    try:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        measured = Measured(receive, await _limit(scope["path"], headers))
        await application(scope, measured, send)
    except Refused as error:
        log.warning("%s %s: %s", scope["method"], scope["path"][:200], error.code)
        await _answer(scope, send, error)


async def _limit(path: str, headers: dict[str, str]) -> int:
    """The most bytes that this request may bring. Raises Refused where it says that it brings more."""
    said = headers.get("content-length", "")
    length = int(said) if said.isdecimal() and len(said) < 19 else None
    is_part = PARTS.fullmatch(path) is not None
    if not is_part and UPLOADS.fullmatch(path) is None:
        _require(length or 0, SMALL_BYTES)
        return SMALL_BYTES
    if length is None:
        if "transfer-encoding" in headers:
            raise Refused(411, "length_required", "A file is sent with its Content-Length.")
        return SMALL_BYTES
    if length <= SMALL_BYTES:
        return SMALL_BYTES
    if not await _known(headers, is_part):
        raise Refused(401, "unauthenticated", "This needs a valid token or a signed-in browser.")
    if not is_part:
        _require(length, settings.MAX_UPLOAD_BYTES + FORM_AROUND_FILE_BYTES)
    _require_room(2 * length)  # spooled first, stored then
    return length


def _require(length: int, limit: int) -> None:
    if length > limit:
        raise _too_large(limit)


def _too_large(limit: int) -> Refused:
    size = f"{limit / 1024**2:,.0f} MiB"
    return Refused(413, "too_large", f"The request's body is too large for this call, which takes at most {size}.")


def _require_room(needed: int) -> None:
    try:
        require_space(needed)
    except DiskNearlyFull as error:
        raise Refused(507, "disk_full", str(error)) from error


async def _known(headers: dict[str, str], is_part: bool) -> bool:
    """Whether a live attempt or inspection (for parts), or a person sends this."""

    def read() -> bool:
        try:
            return _of_worker(headers) if is_part else asked_by(headers) is not None
        except AWAY as error:
            fault = fault_of(error)
            raise Refused(503, fault.code, fault.message) from error
        finally:
            connections.close_all()

    async with ThreadSensitiveContext():
        return await sync_to_async(read)()


def _of_worker(headers: dict[str, str]) -> bool:
    token = headers.get("authorization", "").partition(" ")[2]
    return any(kind().authenticate(HttpRequest(), token) for kind in (AttemptToken, InspectionToken))


async def _answer(scope: Scope, send: Send, error: Refused) -> None:
    """In the API's shape there, as a sentence for a browser; the rest of the body is not waited for."""
    api = scope["path"].startswith("/api/")
    text = json.dumps(body(error.code, error.message)) if api else error.message
    kind = b"application/json" if api else b"text/plain; charset=utf-8"
    headers = [(b"content-type", kind), (b"connection", b"close")]
    if error.status == 503:
        headers.append((b"retry-after", b"5"))
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})
