"""A proxy on loopback that spoils connections on purpose: delay, throttle, cut, blackhole, flip a byte, RST, drop.

It runs in a thread of its own. In front of HTTP each request gets a connection of its own, so that a rule for a path
meets every request; in front of anything else the rules are asked for each chunk of bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import struct
import threading
from collections import Counter
from dataclasses import dataclass
from types import TracebackType
from typing import Literal

CHUNK_BYTES = 16 * 1024
MOST_HEAD_BYTES = 64 * 1024
GATE_SECONDS = 0.02
CONNECT_SECONDS = 5.0
LENGTH_HEADER = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
CONNECTION_HEADER = re.compile(rb"\r\nconnection:[^\r]*", re.IGNORECASE)


@dataclass(frozen=True)
class Rule:
    """What happens to a connection whose `METHOD /path` holds the pattern; an empty one fits everything."""

    path: str = ""
    delay_seconds: float = 0.0
    """Before each chunk."""
    bytes_per_second: float | None = None
    cut_after_bytes: int | None = None
    """Closed after so many bytes of that direction."""
    flip_byte: int | None = None
    """This byte of that direction, counted from 0 after the head of a request, arrives with its bits turned round."""
    of: Literal["request", "reply"] = "reply"
    """The direction that the three above are about."""
    blackhole: bool = False
    """Nothing passes and nothing is closed; what was sent arrives when the rule is gone, as TCP would have it."""
    reset: bool = False
    """RST at once."""
    drop_reply: bool = False
    """The request arrives and is answered in full; the answer does not."""
    answer: bytes = b""
    """The proxy says this itself once the request's head is there; nothing reaches the server."""
    times: int | None = None
    """For so many connections; None for all."""

    def fits(self, line: str) -> bool:
        return re.search(self.path, line) is not None


class Cut(Exception):
    """The rule says that this connection ends here."""


class ChaosProxy:
    """One listening port in front of one server. Use it as a context manager; rules may change at any time."""

    def __init__(self, port: int, http: bool = True, host: str = "127.0.0.1") -> None:
        self._upstream, self._http = (host, port), http
        self._rules: tuple[Rule, ...] = ()
        self._used: Counter[int] = Counter()
        self._lock = threading.Lock()
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="chaos proxy", daemon=True)
        self._ready = threading.Event()
        self.port = 0
        self.seen: list[str] = []
        """`METHOD /path` of every request, oldest first; without HTTP an empty text for each connection."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def add(self, *rules: Rule) -> None:
        with self._lock:
            self._rules += rules

    def heal(self) -> None:
        """Without rules again; what a blackhole held flows on."""
        with self._lock:
            self._rules = ()
            self._used.clear()

    def reset_all(self) -> None:
        """RST to every connection that is open now."""
        self._loop.call_soon_threadsafe(self._abort_all)

    def _abort_all(self) -> None:
        for writer in self._open:
            _abort(writer)

    def __enter__(self) -> ChaosProxy:
        self._thread.start()
        if not self._ready.wait(10):
            raise RuntimeError("the chaos proxy did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._connection, "127.0.0.1", self.port, limit=MOST_HEAD_BYTES, backlog=512)
        )
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.05))
        self._loop.close()

    def _rule_for(self, line: str) -> Rule:
        """The first rule that fits; one with `times` is used up by this."""
        with self._lock:
            for index, rule in enumerate(self._rules):
                if rule.fits(line) and (rule.times is None or self._used[index] < rule.times):
                    self._used[index] += 1
                    return rule
        return Rule()

    def _held(self, line: str) -> bool:
        return any(rule.blackhole and rule.fits(line) for rule in self._rules)

    async def _gate(self, line: str) -> None:
        while self._held(line):
            await asyncio.sleep(GATE_SECONDS)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            head, line = await self._head(reader) if self._http else (b"", "")
            self.seen.append(line)
            rule = self._rule_for(line)
            if rule.reset:
                _abort(writer)
                return
            if rule.answer:
                await self._say(reader, writer, head, rule.answer)
                return
            await self._gate(line)
            if writer.is_closing():
                return  # reset while it was held: what was sent is lost
            opening = asyncio.open_connection(*self._upstream)
            far_reader, far_writer = await asyncio.wait_for(opening, CONNECT_SECONDS)
            self._open.add(far_writer)
            try:
                far_writer.write(head)
                await self._both_ways((reader, writer), (far_reader, far_writer), rule, line)
            finally:
                self._open.discard(far_writer)
                far_writer.close()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, Cut, TimeoutError):
            return  # one side broke off, or the rule did it
        finally:
            self._open.discard(writer)
            writer.close()

    async def _say(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes, answer: bytes
    ) -> None:
        """After the whole request: who is answered while still sending may not read it."""
        if b"100-continue" in head:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if length := LENGTH_HEADER.search(head):
            await reader.readexactly(int(length[1]))
        writer.write(answer)
        await writer.drain()

    async def _head(self, reader: asyncio.StreamReader) -> tuple[bytes, str]:
        """A request's head, asking for one request per connection; and its `METHOD /path`."""
        head = await reader.readuntil(b"\r\n\r\n")
        return _for_once(head), b" ".join(head.split(b" ", 2)[:2]).decode("latin-1")

    async def _both_ways(
        self,
        near: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        far: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        rule: Rule,
        line: str,
    ) -> None:
        """Until the server has closed (its answer is whole), one side broke off, or the rule ends it."""
        there = asyncio.ensure_future(self._pump(near[0], far[1], rule, "request", line))
        back = asyncio.ensure_future(self._pump(far[0], near[1], rule, "reply", line))
        try:
            done, _ = await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
            if there in done and there.exception() is None:
                await back
        finally:
            for pump in (there, back):
                pump.cancel()
            await asyncio.gather(there, back, return_exceptions=True)

    async def _pump(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, rule: Rule, direction: str, line: str
    ) -> None:
        passed = 0
        replies = self._http and direction == "reply"
        while chunk := await (_reply_head(source) if replies and not passed else source.read(CHUNK_BYTES)):
            if not self._http:
                rule = self._rule_for(line)
            await self._gate(line)
            if direction == "reply" and rule.drop_reply:
                continue
            await asyncio.sleep(rule.delay_seconds)
            if rule.of == direction:
                chunk = await _spoilt(chunk, passed, rule)
            target.write(chunk)
            await target.drain()
            passed += len(chunk)
            if rule.of == direction and rule.cut_after_bytes is not None and passed >= rule.cut_after_bytes:
                raise Cut
        if direction == "request" and target.can_write_eof():
            with contextlib.suppress(OSError):
                target.write_eof()


def _for_once(head: bytes) -> bytes:
    """The same head of a request or reply, saying that its connection is for this one alone."""
    return CONNECTION_HEADER.sub(b"", head)[:-2] + b"Connection: close\r\n\r\n"


async def _reply_head(source: asyncio.StreamReader) -> bytes:
    try:
        return _for_once(await source.readuntil(b"\r\n\r\n"))
    except asyncio.IncompleteReadError as torn:
        return torn.partial


async def _spoilt(chunk: bytes, passed: int, rule: Rule) -> bytes:
    """The chunk as the rule lets it arrive, after the time that it takes."""
    if rule.cut_after_bytes is not None:
        chunk = chunk[: max(0, rule.cut_after_bytes - passed)]
    if rule.flip_byte is not None and passed <= rule.flip_byte < passed + len(chunk):
        at = rule.flip_byte - passed
        chunk = chunk[:at] + bytes([chunk[at] ^ 0xFF]) + chunk[at + 1 :]
    if rule.bytes_per_second:
        await asyncio.sleep(len(chunk) / rule.bytes_per_second)
    return chunk


def _abort(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN."""
    raw = writer.get_extra_info("socket")
    if raw is not None:
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
