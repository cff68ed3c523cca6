"""Bodies that nobody asked for, against a real web server: refused before they reach the disk."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.faults.serving import Served, serving

MIB = 1024**2
TRIED_BYTES = 12 * MIB
FILE = f"files/{'0' * 64}"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    var = tmp_path_factory.mktemp("floods") / "var"
    with serving(var, DELTABOARD_MAX_UPLOAD_BYTES=str(8 * MIB)) as site:
        yield site


def pushed(site: Served, path: str, *headers: str, chunked: bool = False) -> tuple[int, int]:
    """The status of a request that goes on sending, and how many bytes the site let it send."""
    host = urlsplit(site.url)
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {10**13}"
    head = "\r\n".join((f"POST /{path} HTTP/1.1", f"Host: {host.netloc}", length, *headers, "", ""))
    sent, block = 0, b"x" * 65536
    with socket.create_connection((host.hostname or "", host.port or 0), timeout=20) as line:
        line.sendall(head.encode())
        try:
            while sent < TRIED_BYTES:
                line.sendall(b"10000\r\n" + block + b"\r\n" if chunked else block)
                sent += len(block)
        except OSError:
            pass  # it hung up
        try:
            answer = line.recv(4096)
        except OSError:
            answer = b""
    return (int(answer.split()[1]) if answer else 0), sent


def promised(site: Served, method: str, path: str, length: int, *headers: str) -> str:
    """What the site says to a head alone: it does not wait for the body that the head promises."""
    host = urlsplit(site.url)
    lines = (f"{method} /{path} HTTP/1.1", f"Host: {host.netloc}", f"Content-Length: {length}", *headers, "", "")
    with socket.create_connection((host.hostname or "", host.port or 0), timeout=20) as line:
        line.sendall("\r\n".join(lines).encode())
        answer = b""
        while block := line.recv(4096):
            answer += block
    return answer.decode()


def spooled(site: Served) -> int:
    """Bytes that the web process holds in files without a name, or under incoming."""
    total = 0
    for link in Path(f"/proc/{site.process.pid}/fd").iterdir():
        try:
            if "/incoming/" in str(link.readlink()):
                total += link.stat().st_size
        except FileNotFoundError:
            continue
    return total


@pytest.mark.slow
@pytest.mark.parametrize("path", ["api/worker/enrol", "sign-in/", "api/v1/datasets", f"api/worker/attempts/1/{FILE}"])
def test_a_stranger_who_promises_ten_terabytes_is_cut_off(served: Served, path: str) -> None:
    status, sent = pushed(served, path)
    assert status in (0, 401, 413)  # 0: the reset was faster than the answer
    assert sent < TRIED_BYTES
    assert spooled(served) == 0


@pytest.mark.slow
def test_a_body_without_an_end_is_cut_off(served: Served) -> None:
    _, sent = pushed(served, "api/worker/enrol", chunked=True)
    assert sent < TRIED_BYTES
    assert spooled(served) == 0


@pytest.mark.slow
def test_each_refusal_says_why(served: Served) -> None:
    for path, status, word in (
        ("api/worker/enrol", 413, "at most 3 MiB"),
        ("api/v1/datasets", 401, "token"),
        (f"api/worker/attempts/1/{FILE}", 401, "token"),
    ):
        answer = promised(served, "POST", path, 10**13)
        assert answer.startswith(f"HTTP/1.1 {status} ")
        assert "connection: close" in answer
        assert word in answer


@pytest.mark.slow
def test_a_known_person_uploads_up_to_the_limit(served: Served) -> None:
    rows = b'{"text": "fine", "label": "pos"}\n' * 150_000  # 5 MB
    file = {"file": ("reviews.jsonl", rows)}
    assert served.call("POST", "api/v1/datasets", served.user_token, files=file, data={"name": "a"}).status_code == 201
    over = {"file": ("reviews.jsonl", rows * 2)}
    refused = served.call("POST", "api/v1/datasets", served.user_token, files=over, data={"name": "b"})
    assert refused.status_code == 413


@pytest.mark.slow
def test_a_file_of_an_attempt_comes_with_its_length_and_where_there_is_room(served: Served) -> None:
    path = f"api/worker/attempts/{served.attempt}/{FILE}"
    unmeasured = served.call("PUT", path, served.attempt_token, content=iter([b"x"]))
    assert unmeasured.status_code == 411
    assert "Content-Length" in unmeasured.json()["error"]["message"]
    everything = shutil.disk_usage(served.environment["DELTABOARD_VAR"]).free
    token = f"Authorization: Bearer {served.attempt_token}"
    assert promised(served, "PUT", path, everything, token).startswith("HTTP/1.1 507 ")
    large = b"x" * (4 * MIB)
    assert served.call("PUT", path, served.attempt_token, content=large).status_code == 422  # read, and another hash
