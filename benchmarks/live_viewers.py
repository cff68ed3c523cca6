"""Many browsers' EventSources in one process, for benchmarks.live: reads its task and, later, `end` from its input.

Says `open` once every stream has answered, and at the end writes who received which events when.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from pathlib import Path
from typing import Any

AT_ONCE = 32
"""Streams that are being opened at a time."""
NUMBER = re.compile(rb"^id: (\d+)$", re.MULTILINE)


class Viewer(asyncio.Protocol):
    """One open stream. An event counts once its empty line is there, as in a browser."""

    def __init__(self, task: dict[str, Any], number: int, arrivals: list[tuple[int, int, int, float]]) -> None:
        self.job, self.last = task["jobs"][number % len(task["jobs"])]
        self.head = (
            f"GET /api/v1/jobs/{self.job}/events?after={self.last} HTTP/1.1\r\nHost: 127.0.0.1:{task['port']}\r\n"
            f"Authorization: Bearer {task['tokens'][number % len(task['tokens'])]}\r\nAccept: text/event-stream\r\n\r\n"
        )
        self.arrivals, self.opened = arrivals, asyncio.get_running_loop().create_future()
        self.rest, self.faults, self.cut = b"", 0, False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(self.head.encode())

    def data_received(self, data: bytes) -> None:
        at = time.time()
        if not self.opened.done():
            self.opened.set_result(data.startswith(b"HTTP/1.1 200"))
        whole, end, self.rest = (self.rest + data).rpartition(b"\n\n")
        if numbers := [int(each) for each in NUMBER.findall(whole + end)]:
            self.faults += numbers != list(range(self.last + 1, self.last + 1 + len(numbers)))
            self.last = numbers[-1]
            self.arrivals.append((self.job, numbers[0], numbers[-1], at))

    def connection_lost(self, exc: Exception | None) -> None:
        self.cut = True
        if not self.opened.done():
            self.opened.set_result(False)


async def watch(task: dict[str, Any]) -> None:
    loop = asyncio.get_running_loop()
    gate = asyncio.Semaphore(AT_ONCE)
    arrivals: list[tuple[int, int, int, float]] = []

    async def one(number: int) -> Viewer:
        async with gate:
            _, viewer = await loop.create_connection(lambda: Viewer(task, number, arrivals), "127.0.0.1", task["port"])
            if not await viewer.opened:
                raise SystemExit("A stream was refused.")
        return viewer

    viewers = await asyncio.gather(*(one(number) for number in range(task["viewers"])))
    print("open", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    found = {"faults": sum(each.faults for each in viewers), "cut": sum(each.cut for each in viewers)}
    Path(task["file"]).write_text(json.dumps(found | {"arrivals": arrivals}))


if __name__ == "__main__":
    asyncio.run(watch(json.loads(sys.stdin.readline())))
