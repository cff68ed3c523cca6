"""The address of the live stream, taken before Django sees it: who asks, for which job, from which cursor."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from webapp.accounts.asking import asked_by, from_here
from webapp.api_errors import body
from webapp.jobs import live
from webapp.jobs.models import ENDED, Job
from webapp.outages import AWAY, fault_of

log = logging.getLogger(__name__)
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
PATH = re.compile(r"/api/v1/jobs/(\d{1,18})/events")
BEAT = b"event: beat\ndata: {}\n\n"
"""After a silence. Not a comment: a page never hears of those, and could not tell silence from a dead connection."""
EVENTS_A_WRITE = 64
"""Between two writes a slow reader is waited for, so that little of a long history lies in memory."""
HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]


def stream_of(scope: Scope) -> int | None:
    """The job whose stream this request asks for, or None for everything that is Django's."""
    if scope["type"] != "http" or scope["method"] != "GET" or not (match := PATH.fullmatch(scope["path"])):
        return None
    accept = dict(scope["headers"]).get(b"accept", b"")
    return None if b"application/json" in accept else int(match[1])


async def serve(job_id: int, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one stream request, until the job ends, the viewer leaves or loses the right to look."""
    if not from_here(_headers(scope)):
        return await _refuse(send, 400, "host", "The request names another host or comes from another site.")
    cursor = _cursor(scope)
    seen = await _look(scope, job_id)
    if not isinstance(seen, Seen):
        return await _refuse(send, *seen)
    if seen.ended and seen.last_event <= cursor:
        return await _nothing(send)
    viewer = live.Viewer(job_id, seen.user_id)
    leaving = asyncio.ensure_future(_left(receive, viewer))
    try:
        with live.hub.viewing(viewer):
            await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
            await _stream(viewer, cursor, scope, send)
    except live.Full:
        await _refuse(send, 503, "streams_full", "Too many live streams are open. The page polls instead.")
    finally:
        leaving.cancel()
    return None


async def _stream(viewer: live.Viewer, cursor: int, scope: Scope, send: Send) -> None:
    async def allowed() -> bool:
        return isinstance(await _look(scope, viewer.job_id), Seen)

    try:
        await _write(send, b"retry: 2000\n\n")
        async for batch in live.events_after(viewer, cursor, allowed):
            for first in range(0, len(batch), EVENTS_A_WRITE):
                await _write(send, b"".join(told.sse for told in batch[first : first + EVENTS_A_WRITE]))
            if not batch:
                await _write(send, BEAT)
    except Exception:  # the page comes back by itself, from its cursor
        log.exception("a live stream broke off")
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _write(send: Send, content: bytes) -> None:
    await send({"type": "http.response.body", "body": content, "more_body": True})


async def _left(receive: Receive, viewer: live.Viewer) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    viewer.leave()


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def _cursor(scope: Scope) -> int:
    """`?after=` or Last-Event-ID; the larger wins."""
    after = parse_qs(scope["query_string"].decode("latin-1")).get("after", ["0"])[0]
    resumed = _headers(scope).get("last-event-id", "0")
    numbers = [int(text) for text in (after, resumed) if text.isdecimal() and len(text) < 19]
    return max(numbers, default=0)


async def _nothing(send: Send) -> None:
    """204: the job has ended and the viewer has everything, so the browser does not come back."""
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def _refuse(send: Send, status: int, code: str, message: str) -> None:
    headers = [(b"content-type", b"application/json"), (b"retry-after", b"10")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(body(code, message)).encode()})


@dataclass(frozen=True)
class Seen:
    """What somebody who may look sees of the job, to begin with."""

    user_id: int
    ended: bool
    last_event: int


async def _look(scope: Scope, job_id: int) -> Seen | tuple[int, str, str]:
    """Who asks and for what, or why they may not: status, code, sentence."""

    def read() -> Seen | tuple[int, str, str]:
        try:
            return _permitted(_headers(scope), job_id)
        except AWAY as error:
            fault = fault_of(error)
            return 503, fault.code, fault.message

    return await live.from_database(read)


def _permitted(headers: dict[str, str], job_id: int) -> Seen | tuple[int, str, str]:
    asked = asked_by(headers)
    if asked is None:
        return 401, "unauthenticated", "This needs a valid token or a signed-in browser."
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return 403, "cross_site", "Another site may not open this stream."
    jobs = Job.objects.visible_to(asked.user).only("state", "last_event")
    if asked.team_id is not None:
        jobs = jobs.filter(team_id=asked.team_id)
    job = jobs.filter(pk=job_id).first()
    if job is None:
        return 404, "not_found", "There is no such job here, or it belongs to a team you are not in."
    return Seen(asked.user.pk, job.state in ENDED, job.last_event)
