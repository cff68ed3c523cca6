"""The address of the live stream, taken before Django sees it: who asks, for which job, from which cursor."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any
from urllib.parse import parse_qs

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.db import connections

from webapp.accounts.asking import asked_by, from_here
from webapp.api_errors import body
from webapp.jobs import live
from webapp.jobs.models import Job
from webapp.outages import AWAY, fault_of

log = logging.getLogger(__name__)
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
PATH = re.compile(r"/api/v1/jobs/(\d{1,18})/events")
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
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}

    async def allowed() -> bool:
        return isinstance(await _ask(headers, job_id), int)

    if not from_here(headers):
        return await _refuse(send, 400, "host", "The request names another host or comes from another site.")
    seen = await _ask(headers, job_id)
    if not isinstance(seen, int):
        return await _refuse(send, *seen)
    cursor = _cursor(scope, headers)
    if await live.nothing_follows(job_id, cursor):
        return await _nothing(send)
    viewer = live.Viewer(job_id, seen)
    try:
        with live.hub.viewing(viewer):
            await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
            await _until_one_ends(_stream(viewer, cursor, allowed, send), _left(receive))
    except live.Full:
        await _refuse(send, 503, "streams_full", "Too many live streams are open. The page polls instead.")
    return None


async def _until_one_ends(*parts: Coroutine[Any, Any, None]) -> None:
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                log.error("a live stream broke off", exc_info=ended)


async def _stream(viewer: live.Viewer, cursor: int, allowed: Callable[[], Awaitable[bool]], send: Send) -> None:
    await _write(send, "retry: 2000\n\n")
    async for message in live.messages(viewer, cursor, allowed):
        await _write(send, ":\n\n" if message is None else as_sse(message))
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _write(send: Send, text: str) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


def as_sse(message: dict[str, Any]) -> str:
    """One event in the stream's format; its id is the cursor."""
    return f"id: {message['n']:d}\nevent: {message['kind']}\ndata: {json.dumps(message)}\n\n"


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _cursor(scope: Scope, headers: dict[str, str]) -> int:
    """`?after=` or Last-Event-ID; the larger wins."""
    after = parse_qs(scope["query_string"].decode("latin-1")).get("after", ["0"])[0]
    numbers = [int(text) for text in (after, headers.get("last-event-id", "0")) if text.isdecimal() and len(text) < 19]
    return max(numbers, default=0)


async def _nothing(send: Send) -> None:
    """204: the job has ended and the viewer has everything, so the browser does not come back."""
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def _refuse(send: Send, status: int, code: str, message: str) -> None:
    headers = [(b"content-type", b"application/json"), (b"retry-after", b"10")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(body(code, message)).encode()})


async def _ask(headers: dict[str, str], job_id: int) -> int | tuple[int, str, str]:
    """The viewer's user id, or why not: status, code, sentence."""

    def read() -> int | tuple[int, str, str]:
        try:
            return _permitted(headers, job_id)
        except AWAY as error:
            fault = fault_of(error)
            return 503, fault.code, fault.message
        finally:
            connections.close_all()

    async with ThreadSensitiveContext():
        return await sync_to_async(read)()


def _permitted(headers: dict[str, str], job_id: int) -> int | tuple[int, str, str]:
    asked = asked_by(headers)
    if asked is None:
        return 401, "unauthenticated", "This needs a valid token or a signed-in browser."
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return 403, "cross_site", "Another site may not open this stream."
    jobs = Job.objects.visible_to(asked.user)
    if asked.team_id is not None:
        jobs = jobs.filter(team_id=asked.team_id)
    if not jobs.filter(pk=job_id).exists():
        return 404, "not_found", "There is no such job here, or it belongs to a team you are not in."
    return asked.user.pk
