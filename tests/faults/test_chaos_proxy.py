"""The chaos proxy itself: each rule does what it says, to the path it names and to no other."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from tests.faults.chaos_proxy import ChaosProxy, Rule

BODY = bytes(range(256)) * 64


class Handler(BaseHTTPRequestHandler):
    """Answers GET with BODY and POST with what it got."""

    protocol_version = "HTTP/1.1"
    got: list[bytes] = []

    def do_GET(self) -> None:
        self._answer(BODY)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.got.append(body)
        self._answer(body)

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *about: Any) -> None:
        """Tests are quiet."""


@contextmanager
def http_server() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def proxy() -> Iterator[ChaosProxy]:
    Handler.got = []
    with http_server() as port, ChaosProxy(port) as proxy:
        yield proxy


@pytest.fixture
def client(proxy: ChaosProxy) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=proxy.url, timeout=5, trust_env=False) as client:
        yield client


def test_without_rules_everything_passes(proxy: ChaosProxy, client: httpx.Client) -> None:
    assert client.get("/a").content == BODY
    assert client.post("/b", content=BODY).content == BODY
    assert proxy.seen == ["GET /a", "POST /b"]


def test_a_rule_meets_its_path_only(proxy: ChaosProxy, client: httpx.Client) -> None:
    proxy.add(Rule("POST .*/bad", reset=True))
    assert client.get("/bad").content == BODY
    assert client.post("/good", content=b"x").content == b"x"
    with pytest.raises(httpx.TransportError):
        client.post("/bad", content=b"x")
    assert Handler.got == [b"x"]


def test_a_delay_takes_its_time(proxy: ChaosProxy, client: httpx.Client) -> None:
    proxy.add(Rule(delay_seconds=0.3))
    before = time.monotonic()
    assert client.get("/").content == BODY
    assert time.monotonic() - before >= 0.3


def test_a_throttle_lets_so_many_bytes_a_second_through(proxy: ChaosProxy, client: httpx.Client) -> None:
    proxy.add(Rule(bytes_per_second=len(BODY) / 0.5))
    before = time.monotonic()
    assert client.get("/").content == BODY
    assert time.monotonic() - before >= 0.5


def test_a_cut_ends_the_reply_after_so_many_bytes(proxy: ChaosProxy, client: httpx.Client) -> None:
    proxy.add(Rule(cut_after_bytes=1000))
    with client.stream("GET", "/") as answer:
        got: list[bytes] = []
        with pytest.raises(httpx.RemoteProtocolError):
            got.extend(answer.iter_raw())
    assert answer.num_bytes_downloaded < 1000  # the head counts, too
    assert BODY.startswith(b"".join(got))


def test_a_cut_of_the_request_leaves_the_server_with_a_torn_body(proxy: ChaosProxy, client: httpx.Client) -> None:
    proxy.add(Rule(of="request", cut_after_bytes=100))
    with pytest.raises(httpx.TransportError):
        client.post("/", content=BODY)
    assert all(len(body) <= 100 for body in Handler.got)


def test_a_flipped_byte_arrives_flipped_and_alone(proxy: ChaosProxy, client: httpx.Client) -> None:
    proxy.add(Rule(of="request", flip_byte=7))
    assert client.post("/", content=BODY).content == Handler.got[0]
    differing = [at for at, (sent, got) in enumerate(zip(BODY, Handler.got[0], strict=True)) if sent != got]
    assert differing == [7]


def test_a_dropped_reply_is_one_whose_request_arrived(proxy: ChaosProxy, client: httpx.Client) -> None:
    proxy.add(Rule(drop_reply=True, times=1))
    with pytest.raises(httpx.RemoteProtocolError):
        client.post("/", content=b"once")
    assert Handler.got == [b"once"]
    assert client.post("/", content=b"twice").content == b"twice"  # the rule was for one time


def test_a_blackhole_swallows_until_it_heals(proxy: ChaosProxy, client: httpx.Client) -> None:
    proxy.add(Rule("/lost", blackhole=True))
    with pytest.raises(httpx.ReadTimeout):
        client.post("/lost", content=b"x", timeout=0.3)
    assert client.get("/other").content == BODY
    answers: list[bytes] = []
    waiting = threading.Thread(target=lambda: answers.append(client.post("/lost", content=b"late").content))
    waiting.start()
    waiting.join(0.3)
    assert answers == []
    proxy.heal()
    waiting.join(5)
    assert answers == [b"late"]


def test_plain_tcp_is_held_and_flows_on_in_order() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, ChaosProxy(listener.getsockname()[1], http=False) as proxy:
        near = socket.create_connection(("127.0.0.1", proxy.port), timeout=5)
        far, _ = listener.accept()
        far.settimeout(0.3)
        near.sendall(b"before ")
        assert far.recv(100) == b"before "
        proxy.add(Rule(blackhole=True))
        near.sendall(b"during ")
        with pytest.raises(TimeoutError):
            far.recv(100)
        proxy.heal()
        far.settimeout(5)
        near.sendall(b"after")
        got = b""
        while len(got) < len(b"during after"):
            got += far.recv(100)
        assert got == b"during after"
        proxy.reset_all()
        with pytest.raises(ConnectionResetError):
            near.recv(1)
        near.close()
        far.close()
