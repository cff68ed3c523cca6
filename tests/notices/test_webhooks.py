"""One POST: signed so that anyone can check it, to the name that was meant, with an end in time."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from tests.notices.conftest import SECRET
from tests.notices.endpoints import endpoint, make_certificate, talker
from webapp.notices import webhooks

NAME = "hooks.example.org"


@pytest.fixture(autouse=True)
def loopback_allowed(settings: Any) -> None:
    settings.WEBHOOK_NETWORKS = [ipaddress.ip_network("127.0.0.0/8")]


def here(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


def test_the_signature_holds_when_somebody_else_computes_it() -> None:
    with endpoint() as hook:
        assert webhooks.post(hook.url, SECRET, "the-id", {"kind": "test"}) == 200
    got = hook.received[0]
    moment, _, mac = got.headers["Deltaboard-Signature"].removeprefix("t=").partition(",v1=")
    assert abs(int(moment) - time.time()) < 30
    key = SECRET.encode().ljust(64, b"\0")  # HMAC written out (RFC 2104), not by the library that made it
    inner = hashlib.sha256(bytes(b ^ 0x36 for b in key) + moment.encode() + b"." + got.body).digest()
    assert mac == hashlib.sha256(bytes(b ^ 0x5C for b in key) + inner).hexdigest()
    assert not hmac.compare_digest(mac, webhooks.signature("another", int(moment), got.body)[-64:])
    assert got.headers["Deltaboard-Delivery"] == json.loads(got.body)["id"] == "the-id"
    assert got.path == "/hook?x=1"
    assert SECRET not in str(got.headers) + got.body.decode()


def test_tls_is_for_the_name_and_goes_to_the_address(tmp_path: Path, monkeypatch: Any) -> None:
    certificate = make_certificate(tmp_path, NAME)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with endpoint(certificate=certificate) as hook:
        assert webhooks.post(f"https://{NAME}:{hook.port}/", SECRET, "id", {}, here) == 200
        assert hook.names == [NAME]
        with pytest.raises(webhooks.Undelivered, match="certificate"):
            webhooks.post(f"https://other.example.org:{hook.port}/", SECRET, "id", {}, here)
        assert len(hook.received) == 1


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    with endpoint(certificate=make_certificate(tmp_path, NAME)) as hook:
        with pytest.raises(webhooks.Undelivered, match="certificate"):
            webhooks.post(f"https://{NAME}:{hook.port}/", SECRET, "id", {}, here)
        assert hook.received == []


def test_an_answer_that_drips_for_ever_is_cut(monkeypatch: Any) -> None:
    monkeypatch.setattr(webhooks, "WHOLE_SECONDS", 1.0)

    def drip(connection: socket.socket) -> None:
        connection.recv(4096)
        while True:
            connection.sendall(b"H")
            time.sleep(0.1)

    begun = time.monotonic()
    with talker(drip) as port, pytest.raises(webhooks.Undelivered, match="in time"):
        webhooks.post(f"http://127.0.0.1:{port}/", SECRET, "id", {})
    assert time.monotonic() - begun < 5


def test_of_an_endless_answer_little_is_read() -> None:
    sent = 0

    def pour(connection: socket.socket) -> None:
        nonlocal sent
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            sent += connection.send(b"x" * 65536)

    with talker(pour) as port:
        assert webhooks.post(f"http://127.0.0.1:{port}/", SECRET, "id", {}) == 200
    assert sent < 64 * 1024**2  # what socket buffers swallow, not for ever


def test_a_door_that_is_closed_is_a_sentence() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(webhooks.Undelivered, match="No answer from 127"):
        webhooks.post(f"http://127.0.0.1:{port}/", SECRET, "id", {})
