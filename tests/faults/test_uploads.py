"""A large upload through a real web server: cut in the middle, sent wrong, sent by two, and a disk without room."""

from __future__ import annotations

import hashlib
import random
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from tests.faults.serving import ROOT, Served, _answers, serving, started, wait_until

MIB = 1024**2
CHUNK = 8 * MIB
CONTENT = random.Random(45).randbytes(5 * CHUNK + 12345)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("uploads") / "var") as served:
        yield served


def api(site: Served, method: str, path: str, **how: Any) -> httpx.Response:
    return site.call(method, f"api/v1/{path}", how.pop("token", site.user_token), **how)


def begun(site: Served, name: str, size: int = len(CONTENT), **more: Any) -> str:
    answer = api(site, "POST", "uploads", json={"name": name, "file_name": f"{name}.jsonl", "bytes": size, **more})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def headers(offset: int, chunk: bytes, token: str) -> dict[str, str]:
    digest = hashlib.sha256(chunk).hexdigest()
    return {"Authorization": f"Bearer {token}", "Upload-Offset": str(offset), "Upload-Sha256": digest}


def send(site: Served, upload: str, offset: int, chunk: bytes, **other: str) -> httpx.Response:
    how = headers(offset, chunk, other.pop("token", site.user_token)) | other
    return httpx.patch(f"{site.url}/api/v1/uploads/{upload}", content=chunk, headers=how, timeout=60)


def offset_of(site: Served, upload: str) -> int:
    answer = api(site, "HEAD", f"uploads/{upload}")
    assert answer.status_code == 200
    return int(answer.headers["upload-offset"])


def parts(site: Served) -> list[str]:
    folder = Path(site.environment["DELTABOARD_VAR"]) / "incoming"
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def send_half(site: Served, upload: str, offset: int, chunk: bytes) -> None:
    """A request that stops in the middle of its body, and stays open."""
    at = urlsplit(site.url)
    lines = [f"PATCH /api/v1/uploads/{upload} HTTP/1.1", f"Host: {at.netloc}", f"Content-Length: {len(chunk)}"]
    lines += [f"{name}: {value}" for name, value in headers(offset, chunk, site.user_token).items()]
    line = socket.create_connection((str(at.hostname), int(at.port or 80)))
    line.sendall("\r\n".join([*lines, "", ""]).encode() + chunk[: len(chunk) // 2])
    HALF_SENT.append(line)


HALF_SENT: list[socket.socket] = []


@pytest.mark.fault(45)
@pytest.mark.slow
def test_an_upload_goes_on_where_it_was_when_the_web_server_died(site: Served) -> None:
    """Case 82."""
    upload = begun(site, "large", sha256=hashlib.sha256(CONTENT).hexdigest())
    for place in range(2):
        assert send(site, upload, place * CHUNK, CONTENT[place * CHUNK : (place + 1) * CHUNK]).status_code == 204
    send_half(site, upload, 2 * CHUNK, CONTENT[2 * CHUNK : 3 * CHUNK])
    site.process.send_signal(signal.SIGKILL)
    site.process.wait()
    HALF_SENT.pop().close()
    port = str(urlsplit(site.url).port)
    command = ["-m", "uvicorn", "webapp.asgi:application", "--host", "127.0.0.1", "--port", port, "--lifespan", "off"]
    with started(site.environment, Path(site.environment["DELTABOARD_VAR"]), *command) as again:
        wait_until("the web server is back", lambda: _answers(site.url))
        idle = psutil.Process(again.pid).memory_info().rss
        offset, sent = offset_of(site, upload), 2 * CHUNK
        assert offset == 2 * CHUNK  # of the chunk that was cut nothing counts, and nothing before it is sent again
        while offset < len(CONTENT):
            answer = send(site, upload, offset, CONTENT[offset : offset + CHUNK])
            sent += len(CONTENT[offset : offset + CHUNK])
            offset = int(answer.headers["upload-offset"])
        assert answer.status_code == 201
        assert sent == len(CONTENT)
        assert psutil.Process(again.pid).memory_info().rss - idle < 100 * MIB
        version = api(site, "GET", f"dataset-versions/{answer.json()['version']['id']}").json()
        assert (version["state"], version["number"]) == ("checking", 1)
        assert parts(site) == []
        assert send(site, upload, 0, CONTENT[:10]).json()["error"]["code"] == "upload.done"


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("chunks") / "var") as served:
        yield served


@pytest.mark.fault(46)
@pytest.mark.slow
def test_chunks_that_are_wrong_are_refused_and_nothing_of_them_is_kept(other: Served) -> None:
    chunk, upload = CONTENT[:1000], begun(other, "chunks", 3000)
    damaged = send(other, upload, 0, chunk, **{"Upload-Sha256": "0" * 64})
    assert (damaged.status_code, damaged.json()["error"]["code"]) == (422, "upload.chunk_damaged")
    assert parts(other) == []
    early = send(other, upload, 1000, chunk)
    assert (early.status_code, early.headers["upload-offset"]) == (409, "0")
    assert "next one starts at 0" in early.json()["error"]["message"]
    assert send(other, upload, 0, chunk).status_code == 204
    twice = send(other, upload, 0, chunk)
    assert (twice.status_code, twice.headers["upload-offset"]) == (409, "1000")
    beyond = send(other, upload, 1000, CONTENT[:2001])
    assert (beyond.status_code, beyond.json()["error"]["code"]) == (422, "upload.length")
    large = send(other, upload, 1000, CONTENT[: CHUNK + 1])
    assert (large.status_code, large.json()["error"]["code"]) == (413, "upload.chunk_size")
    assert send(other, upload, 1000, chunk, token="nobody").status_code == 401
    words = [sys.executable, "manage.py", "createtoken", "alice", "--team", "weather"]
    alice = subprocess.run(words, env=other.environment, cwd=ROOT, capture_output=True, text=True, check=True)
    assert send(other, upload, 1000, chunk, token=alice.stdout.strip()).status_code == 404  # of Bob's own team
    assert send(other, upload, 1000, chunk, Origin="http://elsewhere.example").status_code == 400
    assert send(other, upload, 1000, chunk, **{"Upload-Offset": "-1"}).status_code == 400
    assert offset_of(other, upload) == 1000


@pytest.mark.fault(46)
@pytest.mark.slow
def test_two_senders_of_one_chunk_leave_one_chunk(other: Served) -> None:
    chunk, upload = CONTENT[:CHUNK], begun(other, "race", 2 * CHUNK)
    answers: list[int] = []
    senders = [
        threading.Thread(target=lambda: answers.append(send(other, upload, 0, chunk).status_code)) for _ in range(4)
    ]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert sorted(answers) == [204, 409, 409, 409]
    assert offset_of(other, upload) == CHUNK


@pytest.mark.fault(46)
@pytest.mark.slow
def test_a_whole_that_is_not_what_was_announced_is_not_taken(other: Served) -> None:
    upload = begun(other, "whole", 1000, sha256="1" * 64)
    answer = send(other, upload, 0, CONTENT[:1000])
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "upload.damaged")
    assert api(other, "HEAD", f"uploads/{upload}").status_code == 404
    names = [each["name"] for each in api(other, "GET", "datasets").json()["items"]]
    assert "whole" not in names


@pytest.mark.fault(27)
@pytest.mark.slow
def test_without_room_an_upload_is_refused_before_its_first_byte(tmp_path: Path) -> None:
    with serving(tmp_path / "var", DELTABOARD_DISK_RESERVE_BYTES=str(10**15)) as full:
        answer = api(full, "POST", "uploads", json={"name": "a", "file_name": "a.jsonl", "bytes": 1000})
        assert (answer.status_code, answer.json()["error"]["code"]) == (507, "disk_full")
        assert "nothing was stored" in answer.json()["error"]["message"]
        assert parts(full) == []
