"""One signed POST to the one address that was looked up: no redirect, no proxy, no second look-up, an end in time."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import http.client
import json
import socket
import ssl
import threading
import time
from typing import Any

from django.utils import timezone

from webapp.notices.targets import Address, Refused, Resolver, Target, look_up, read_target, settle

STEP_SECONDS = 5.0
"""For connecting, and for each read and write."""
WHOLE_SECONDS = 8.0
"""However slowly an endpoint drips its answer."""
ANSWER_BYTES = 4096


class Undelivered(Exception):
    """The other side did not take it; the sentence says what happened, never what it answered."""


class _Pinned(http.client.HTTPConnection):
    """Connects to an address chosen before; TLS is for the name."""

    def __init__(self, target: Target, address: Address) -> None:
        super().__init__(target.host, target.port, timeout=STEP_SECONDS)
        self.target, self.address = target, address

    def connect(self) -> None:
        self.sock = socket.create_connection((str(self.address), self.port), timeout=STEP_SECONDS)
        if self.target.https:
            context = ssl.create_default_context()
            self.sock = context.wrap_socket(self.sock, server_hostname=self.target.host)

    def cut(self) -> None:
        """From another thread: whatever it waits for ends now."""
        if self.sock is not None:
            with contextlib.suppress(OSError):  # it may have gone already
                self.sock.shutdown(socket.SHUT_RDWR)


def signature(secret: str, moment: int, body: bytes) -> str:
    """`t=…,v1=…`: the hex HMAC-SHA256 of `t.body`."""
    mac = hmac.new(secret.encode(), b"%d." % moment + body, hashlib.sha256)
    return f"t={moment},v1={mac.hexdigest()}"


def post(url: str, secret: str, delivery_id: str, content: dict[str, Any], resolver: Resolver = look_up) -> int:
    """Send it and return the status, 2xx or not. Raises Undelivered with a sentence."""
    body = json.dumps({"id": delivery_id, **content, "sent_at": timezone.now().isoformat()}).encode()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Deltaboard",
        "Deltaboard-Delivery": delivery_id,
        "Deltaboard-Signature": signature(secret, int(time.time()), body),
        "Connection": "close",
    }
    try:
        target = read_target(url)
        return _send(target, settle(target, resolver), body, headers)
    except Refused as error:
        raise Undelivered(str(error)) from error
    except ssl.SSLError as error:
        raise Undelivered("The endpoint's TLS certificate does not hold for its name.") from error
    except (OSError, http.client.HTTPException) as error:
        raise Undelivered(f"No answer from {target.host}:{target.port} in time, or none that is HTTP.") from error


def _send(target: Target, address: Address, body: bytes, headers: dict[str, str]) -> int:
    connection = _Pinned(target, address)
    watch = threading.Timer(WHOLE_SECONDS, connection.cut)
    watch.daemon = True
    watch.start()
    try:
        connection.request("POST", target.path, body, headers)
        answer = connection.getresponse()
        answer.read(ANSWER_BYTES)
        return answer.status
    finally:
        watch.cancel()
        connection.close()
