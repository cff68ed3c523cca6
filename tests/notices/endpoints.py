"""Real servers on loopback that webhooks and mail go to, and a canary that nothing may ever reach."""

from __future__ import annotations

import datetime
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass
class Received:
    path: str
    headers: dict[str, str]
    body: bytes
    at: float


@dataclass
class Endpoint:
    """Answers each POST with the next of `statuses`, the last one for ever."""

    address: str
    port: int
    statuses: list[int]
    location: str = ""
    received: list[Received] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)
    """What TLS was asked for, per connection."""
    on_receipt: Callable[[], None] = lambda: None

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self.port}/hook?x=1"

    def next_status(self) -> int:
        return self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]


@contextmanager
def endpoint(
    *statuses: int, address: str = "127.0.0.1", port: int = 0, certificate: Path | None = None, location: str = ""
) -> Iterator[Endpoint]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            here.received.append(Received(self.path, dict(self.headers.items()), body, time.time()))
            here.on_receipt()
            self.send_response(here.next_status())
            if here.location:
                self.send_header("Location", here.location)
            self.end_headers()
            self.wfile.write(b"an answer that nobody may show")

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer((address, port), Handler)
    here = Endpoint(address, server.server_port, list(statuses) or [200], location)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        context.sni_callback = lambda _, name, __: here.names.append(name)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield here
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class Canary:
    """Counts connections, whatever they carry."""

    port: int
    hits: int = 0


@contextmanager
def canary(port: int = 0) -> Iterator[Canary]:
    """Listens on every loopback address, IPv4 and IPv6."""
    listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    here = Canary(listener.getsockname()[1])

    def count() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            here.hits += 1
            connection.close()

    thread = threading.Thread(target=count, daemon=True)
    thread.start()
    try:
        yield here
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


@contextmanager
def talker(say: Callable[[socket.socket], None], address: str = "127.0.0.1") -> Iterator[int]:
    """A server that is no HTTP server: `say` gets each connection. Yields its port."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            try:
                say(self.request)
            except OSError:
                return  # the other side hung up, as it should

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True
        block_on_close = False

    with Server((address, 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()


def make_certificate(folder: Path, name: str) -> Path:
    """A self-signed certificate for one name: key and certificate in one file, to serve and to trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / f"{name}.pem"
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path


@dataclass
class MailServer:
    """A real SMTP server that keeps what it is given."""

    port: int
    messages: list[str] = field(default_factory=list)
    refuse: int = 0
    """How many recipients it still refuses, with 550."""


@contextmanager
def mail_server(refuse: int = 0) -> Iterator[MailServer]:
    class Handler(socketserver.StreamRequestHandler):
        def say(self, line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

        def handle(self) -> None:
            self.say("220 test")
            while line := self.rfile.readline().decode().strip():
                verb = line.split(" ")[0].upper()
                if verb == "QUIT":
                    self.say("221 bye")
                    return
                if verb == "RCPT" and here.refuse > 0:
                    here.refuse -= 1
                    self.say("550 no such person")
                elif verb == "DATA":
                    self.say("354 go on")
                    here.messages.append(self.text())
                    self.say("250 kept")
                else:
                    self.say("250 ok")

        def text(self) -> str:
            lines = []
            while (line := self.rfile.readline().decode()) not in (".\r\n", ""):
                lines.append(line)
            return "".join(lines)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server:
        here = MailServer(int(server.server_address[1]), refuse=refuse)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield here
        finally:
            server.shutdown()
