"""What taking in a large dataset costs, on a real site: its upload, its check, and pages of its rows.

    python -m benchmarks.ingest [--megabytes 1024] [--rows 1000000] [--upload-megabytes 5000] [--only PART …]

Parts: `check` (a JSONL file of chat rows, from its last chunk to the stored version, beside the same file read by
ready readers alone), `page` (pages of that version's rows), `upload` (a file through the embedded route, beside a
plain copy of it). Prints a table with the target of each figure; exit code 1 if one is missed. Site and client share
this machine, so other load makes every figure worse; needs about four times the larger file on the disk.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import os
import random
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import httpx
import psutil

from benchmarks.queue import Table
from tests.nemesis.site import Site, running_site

MB, CHUNK = 1024**2, 8 * 1024**2
GOAL_SECONDS, GOAL_READERS, GOAL_CHECK_MB = 60, 2.0, 300
GOAL_PAGE_SECONDS = 0.3
GOAL_UPLOAD_RATE, GOAL_COPIES, GOAL_UPLOAD_MB = 100, 0.7, 100
LOOK_EVERY_SECONDS = 0.25
PARTS = ("check", "page", "upload")
WORDS = ("the", "model", "learns", "from", "text", "and", "answers", "people", "about", "weather:", "trains", "naïve")
READERS = {
    "orjson, line by line": "import orjson\nfor line in open(sys.argv[1], 'rb'):\n    orjson.loads(line)",
    "pyarrow.json, batch by batch": "from pyarrow import json\nfor batch in json.open_json(sys.argv[1]):\n    pass",
}
"""Ready readers; each runs in a process of its own."""


@dataclass
class Memory:
    """The most that a tree of processes held at once, beyond what it held at the start."""

    most: int = 0


@contextmanager
def memory_of(*pids: int) -> Iterator[Memory]:
    """Looked at twenty times a second: resident bytes of these processes and all their children."""
    found, over = Memory(), threading.Event()
    idle = _resident(pids)

    def watch() -> None:
        while not over.wait(0.05):
            found.most = max(found.most, _resident(pids) - idle)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield found
    finally:
        over.set()
        watching.join()


def _resident(pids: tuple[int, ...]) -> int:
    held = 0
    for pid in pids:
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            try:
                held += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
    return held


# ---- Files --------------------------------------------------------------------------------------


def write_chats(path: Path, size: int, rows: int) -> None:
    """So many rows of three turns, together about as large as asked for."""
    chance = random.Random(1)
    said = [" ".join(chance.choices(WORDS, k=60_000)) for _ in range(3)]
    room = max(30, (size // rows - 160) // 10)
    with path.open("wb") as file:
        for number in range(rows):
            parts = []
            for role, share, text in zip(("system", "user", "assistant"), (1, 2, 7), said, strict=True):
                start = chance.randrange(len(text) - 10 * room)
                parts.append({"role": role, "content": text[start : start + share * room]})
            row = {"messages": parts, "id": number}
            file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")


def write_noise(path: Path, size: int) -> None:
    """Bytes that no checker reads far."""
    piece = random.Random(2).randbytes(CHUNK)
    with path.open("wb") as file:
        for number in range(-(-size // CHUNK)):
            file.write((number.to_bytes(8, "big") + piece)[: min(CHUNK, size - number * CHUNK)])


def seconds_of_reader(program: str, path: Path) -> float:
    before = time.perf_counter()
    subprocess.run([sys.executable, "-c", f"import sys\n{program}", str(path)], check=True)
    return time.perf_counter() - before


def seconds_of_copy(source: Path, target: Path) -> float:
    """A plain copy, on the disk when it ends."""
    before = time.perf_counter()
    shutil.copyfile(source, target)
    with target.open("rb") as file:
        os.fsync(file.fileno())
    taken = time.perf_counter() - before
    target.unlink()
    return taken


# ---- The site's side ----------------------------------------------------------------------------


def send(site: Site, path: Path, name: str) -> dict[str, Any]:
    """Upload a file in chunks as a program does; what it became."""
    bearer = {"Authorization": f"Bearer {site.seeded.tokens[0]}"}
    announced = {"name": name, "file_name": path.name, "bytes": path.stat().st_size}
    upload = site.api("POST", "uploads", json=announced)
    assert upload.status_code == 201, upload.text
    address, offset = f"/api/v1/uploads/{upload.json()['id']}", 0
    line = http.client.HTTPConnection("127.0.0.1", site.port, timeout=120)
    with path.open("rb") as file, ThreadPoolExecutor(1) as ahead:
        coming = ahead.submit(_next_chunk, file)
        while (found := coming.result())[0]:
            chunk, digest = found
            coming = ahead.submit(_next_chunk, file)
            line.request("PATCH", address, chunk, bearer | {"Upload-Offset": str(offset), "Upload-Sha256": digest})
            answer = line.getresponse()
            said = answer.read()
            assert answer.status in (201, 204), said
            offset += len(chunk)
    line.close()
    made: dict[str, Any] = json.loads(said)
    return made


def _next_chunk(file: IO[bytes]) -> tuple[bytes, str]:
    chunk = file.read(CHUNK)
    return chunk, hashlib.sha256(chunk).hexdigest()


def checked(site: Site, made: dict[str, Any], seconds: float) -> dict[str, Any]:
    def done() -> dict[str, Any] | None:
        version: dict[str, Any] = site.api("GET", f"dataset-versions/{made['version']['id']}").json()
        return None if version["state"] == "checking" else version

    deadline = time.monotonic() + seconds
    while (version := done()) is None:
        if time.monotonic() > deadline:
            raise AssertionError(f"not checked within {seconds:.0f} s")
        time.sleep(LOOK_EVERY_SECONDS)
    return version


def check(table: Table, site: Site, asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """From the answer to the last chunk to the stored version."""
    source = folder / "chats.jsonl"
    write_chats(source, asked.megabytes * MB, asked.rows)
    size = source.stat().st_size
    alone = {name: seconds_of_reader(program, source) for name, program in READERS.items()}
    fastest = min(alone, key=lambda name: alone[name])
    with memory_of(site.housekeeping.pid) as memory:
        made = send(site, source, "chats")
        began = time.perf_counter()
        version = checked(site, made, 900)
        taken = time.perf_counter() - began
    source.unlink()
    assert (version["state"], version["rows"]["good"]) == ("ready", asked.rows), version["problems"]
    for name, seconds in alone.items():
        table.row(f"read by {name}", f"{seconds:.1f} s", "", None)
    met = taken < GOAL_SECONDS or taken < GOAL_READERS * alone[fastest]
    shown = f"{size / MB:,.0f} MiB, {asked.rows:,} chats"
    target = f"< {GOAL_SECONDS} s or {GOAL_READERS:g}x a reader"
    table.row(f"{shown}: checked, stored", f"{taken:.1f} s", target, met)
    table.row(
        "check: rate, beside the fastest reader",
        f"{size / MB / taken:.0f} MiB/s, {taken / alone[fastest]:.1f}x",
        "",
        None,
    )
    held = memory.most / MB
    table.row("check: memory above idle", f"{held:.0f} MiB", f"< {GOAL_CHECK_MB} MiB", held < GOAL_CHECK_MB)
    return made


def page(table: Table, site: Site, asked: argparse.Namespace, made: dict[str, Any], cookies: dict[str, str]) -> None:
    """The version's own page, and pages of its rows at the start, in the middle and at the end."""
    places = {"version's page": ""} | {
        f"rows from {place:,}": f"rows/?start={place}" for place in (0, asked.rows // 2, asked.rows - 50)
    }
    places["search without a hit"] = "rows/?q=nowhere"
    with httpx.Client(base_url=site.url, cookies=cookies, timeout=60, trust_env=False) as browser:
        for name, address in places.items():
            waits = []
            for _ in range(11):
                before = time.perf_counter()
                browser.get(f"{made['page']}{address}").raise_for_status()
                waits.append(time.perf_counter() - before)
            median = statistics.median(waits)
            value = f"{1000 * median:.0f}, {1000 * max(waits):.0f} ms"
            limit = f"< {1000 * GOAL_PAGE_SECONDS:.0f} ms"
            table.row(f"{name}: median, slowest of 11", value, limit, median < GOAL_PAGE_SECONDS)


def upload(table: Table, site: Site, asked: argparse.Namespace, folder: Path) -> None:
    """Through the embedded route, beside a plain copy of the same file before and after."""
    source = folder / "large.bin"
    write_noise(source, asked.upload_megabytes * MB)
    os.sync()
    copies = [seconds_of_copy(source, folder / "copy.bin")]
    with memory_of(site.web.pid) as memory:
        began = time.perf_counter()
        made = send(site, source, "large")
        taken = time.perf_counter() - began
    checked(site, made, 300)
    os.sync()
    copies.append(seconds_of_copy(source, folder / "copy.bin"))
    source.unlink()
    rate, copied = asked.upload_megabytes / taken, asked.upload_megabytes / statistics.mean(copies)
    table.row(
        "plain copy, before and after",
        ", ".join(f"{asked.upload_megabytes / s:.0f}" for s in copies) + " MiB/s",
        "",
        None,
    )
    met = rate >= GOAL_UPLOAD_RATE or rate >= GOAL_COPIES * copied
    target = f">= {GOAL_UPLOAD_RATE} MiB/s or {GOAL_COPIES} copy"
    table.row(f"upload of {asked.upload_megabytes:,} MiB", f"{rate:.0f} MiB/s, {rate / copied:.2f}x", target, met)
    held = memory.most / MB
    table.row("upload: web memory above idle", f"{held:.0f} MiB", f"< {GOAL_UPLOAD_MB} MiB", held < GOAL_UPLOAD_MB)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1024, help="of the file of chats")
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the file of chats")
    parser.add_argument("--upload-megabytes", type=int, default=5000)
    parser.add_argument("--only", action="append", choices=PARTS)
    parser.add_argument(
        "--folder", type=Path, default=None, help="where the files go; left out: the system's temporary one"
    )
    asked = parser.parse_args()
    wanted = set(asked.only or PARTS)
    largest = max(asked.megabytes, asked.upload_megabytes if "upload" in wanted else 0) * MB
    free = shutil.disk_usage(asked.folder or tempfile.gettempdir()).free
    if free < 5 * largest:
        print(f"{free / 1024**3:.0f} GiB are free, {5 * largest / 1024**3:.0f} are needed.")
        return 2
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, SQLite, files in a folder")
    table = Table()
    with tempfile.TemporaryDirectory(prefix="deltaboard-ingest-", dir=asked.folder, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with running_site(folder / "site", people=1, workers=1, timings={}) as site:
            if wanted & {"check", "page"}:
                found = json.loads(site.run("-m", "benchmarks.people_filling", secrets.token_urlsafe(12), "0"))
                made = check(table, site, asked, folder)
                if "page" in wanted:
                    page(table, site, asked, made, {found["cookie"]: found["sessions"][0]})
            if "upload" in wanted:
                upload(table, site, asked, folder)
    print("All targets met." if not table.missed else f"Missed: {', '.join(table.missed)}.")
    return 1 if table.missed else 0


if __name__ == "__main__":
    sys.exit(main())
