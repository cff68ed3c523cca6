"""The address that takes chunks, before Django sees it: PATCH with `Upload-Offset`, HEAD to resume.

A body is read only after its sender, its offset and its length were found good, and is at most one chunk in memory.
Beginning and cancelling are ordinary calls of api.py; what a chunk means is for receiving.py to say.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.db import connections

from webapp.accounts.asking import Asked, asked_by, from_here
from webapp.accounts.permissions import NotAllowed
from webapp.datasets import announcing, direct, receiving
from webapp.datasets.models import DatasetVersion, Upload
from webapp.datasets.uploading import UploadRefused
from webapp.outages import AWAY, fault_of
from webapp.storing import DiskNearlyFull

log = logging.getLogger(__name__)
PATH = re.compile(r"/api/v1/uploads/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")
SHA256 = re.compile(r"[0-9a-f]{64}")
Found = TypeVar("Found")
Answer = tuple[int, dict[str, str], dict[str, Any] | None]
"""Status, headers, JSON."""


class Left(Exception):
    """The sender is gone."""


@dataclass
class Chunk:
    """What the headers say of the body that follows them."""

    upload: Upload
    offset: int = 0
    length: int = 0
    sha256: str = ""

    def read(self, headers: dict[str, str]) -> None:
        """Raises UploadRefused where the body cannot be the upload's next chunk."""
        offset, length, sha256 = (
            headers.get(each, "") for each in ("upload-offset", "content-length", "upload-sha256")
        )
        if not offset.isdecimal() or len(offset) > 15:
            message = "Upload-Offset is missing or no number."
            raise UploadRefused("upload.offset", message, "Send where the chunk starts.", 400)
        if not length.isdecimal() or len(length) > 15:
            raise UploadRefused("upload_length", "Content-Length is missing.", "Send how long the chunk is.", 411)
        if not SHA256.fullmatch(sha256.lower()):
            message = "Upload-Sha256 is missing or no sha256."
            raise UploadRefused("upload.sha256", message, "Send the chunk's sha256 in hex.", 400)
        self.offset, self.length, self.sha256 = int(offset), int(length), sha256.lower()
        receiving.check_chunk(self.upload, self.offset, self.length)


def upload_of(scope: dict[str, Any]) -> UUID | None:
    """The upload that this request is for, or None for everything that is Django's."""
    if scope["type"] != "http" or scope["method"] not in ("PATCH", "HEAD"):
        return None
    match = PATH.fullmatch(scope["path"])
    return UUID(match[1]) if match else None


async def serve(upload_id: UUID, scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer one HEAD or PATCH."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    try:
        answer = await _answer(upload_id, scope["method"], headers, receive)
    except Left:
        return
    status, told, value = answer
    content = b"" if value is None or scope["method"] == "HEAD" else json.dumps(value).encode()
    sent = {
        "content-type": "application/json",
        "content-length": str(len(content)),
        "cache-control": "no-store",
        **told,
    }
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(k.encode(), v.encode()) for k, v in sent.items()],
        }
    )
    await send({"type": "http.response.body", "body": content})


async def _answer(upload_id: UUID, method: str, headers: dict[str, str], receive: Any) -> Answer:
    if not from_here(headers) or headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return _refusal(400, "host", "The request names another host or comes from another site.")
    looked = await _in_thread(lambda: _look(upload_id, method, headers))
    if not isinstance(looked, Chunk):
        return looked
    body = await _body(receive, looked.length)
    if sum(map(len, body)) != looked.length:
        return _refusal(400, "upload_length", f"The body has not the {looked.length:,} bytes that Content-Length says.")
    return await _in_thread(lambda: _add(looked, body))


async def _in_thread(what: Callable[[], Found]) -> Found:
    def run() -> Found:
        try:
            return what()
        finally:
            connections.close_all()

    async with ThreadSensitiveContext():
        answer: Found = await sync_to_async(run)()
    return answer


def _look(upload_id: UUID, method: str, headers: dict[str, str]) -> Chunk | Answer:
    """The chunk that may follow, or the answer where there is nothing to read."""
    found = _find(upload_id, headers)
    if not isinstance(found, Upload):
        return found
    if method == "HEAD":
        return _guarded(found, lambda: direct.arrived(found)) or (200, _progress(found), None)
    chunk = Chunk(found)
    return _guarded(found, lambda: chunk.read(headers)) or chunk


def _find(upload_id: UUID, headers: dict[str, str]) -> Upload | Answer:
    try:
        asked: Asked | None = asked_by(headers)
        upload = announcing.find(asked.user, asked.team_id, upload_id) if asked else None
    except AWAY as error:
        fault = fault_of(error)
        return _refusal(503, fault.code, fault.message, fault.hint, {"retry-after": str(fault.retry_after_seconds)})
    if asked is None:
        return _refusal(401, "unauthenticated", "This needs a valid token or a signed-in browser.")
    return upload or _refusal(404, "not_found", "There is no such upload of yours; after 24 hours they are forgotten.")


async def _body(receive: Any, length: int) -> list[bytes]:
    """In the pieces it comes in, no further than the length. Raises Left."""
    pieces: list[bytes] = []
    came = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Left
        pieces.append(message.get("body", b""))
        came += len(pieces[-1])
        if came > length or not message.get("more_body", False):
            return pieces


def _add(chunk: Chunk, body: list[bytes]) -> Answer:
    made: list[DatasetVersion | None] = []
    upload = chunk.upload
    refused = _guarded(upload, lambda: made.append(receiving.add_chunk(upload, chunk.offset, body, chunk.sha256)))
    if refused is not None:
        return refused
    version = made[0]
    if version is None:
        return 204, _progress(upload), None
    return 201, _progress(upload), announcing.done(version)


def _guarded(upload: Upload, what: Callable[[], Any]) -> Answer | None:
    """Nothing where it went well, else the answer."""
    try:
        what()
    except UploadRefused as error:
        return _refusal(error.status, error.code, error.message, error.hint, _progress(upload))
    except DiskNearlyFull as error:
        return _refusal(507, "disk_full", str(error), "Ask the site's admin to free space.")
    except NotAllowed as error:
        return _refusal(403, "role", str(error))
    except AWAY as error:
        fault = fault_of(error)
        return _refusal(503, fault.code, fault.message, fault.hint, {"retry-after": str(fault.retry_after_seconds)})
    except Exception:
        reference = secrets.token_hex(4)
        log.exception("upload fault %s", reference)
        return _refusal(500, "fault", f"The chunk could not be kept (reference {reference}).", "Send it again.")
    return None


def _progress(upload: Upload) -> dict[str, str]:
    return {"upload-offset": str(upload.offset), "upload-length": str(upload.bytes)}


def _refusal(status: int, code: str, message: str, hint: str = "", headers: dict[str, str] | None = None) -> Answer:
    said = {"code": code, "message": message, "where": {}, "hint": hint, "ref": ""}
    return status, headers or {}, {"error": said}
