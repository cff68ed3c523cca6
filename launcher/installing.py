"""Runs pip in the environment and tells its progress calmly; which packages and why is the caller's choice."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from launcher.refusal import Refusal, says_disk_full
from launcher.requirements import CONSTRAINTS

_FETCHED = re.compile(r"^\s*(?:Downloading|Using cached|Processing) (\S+\.(?:whl|tar\.gz))(?=\s|$)")
_SIZE = re.compile(r"\(([\d.]+) (bytes|kB|MB|GB)\)$")
_UNIT_MB = {"bytes": 1e-6, "kB": 1e-3, "MB": 1.0, "GB": 1e3}
_UNREACHABLE = ("NewConnectionError", "ConnectTimeoutError", "ReadTimeoutError", "NameResolutionError", "ProxyError")
_QUIET_SECONDS = 5.0
"""Where the output is a file, one progress line at most this often."""


@dataclass
class Progress:
    """What pip has done so far, from the lines it prints."""

    packages: int = 0
    fetched_mb: float = 0.0
    current: str = "asking the package index"
    lines: list[str] = field(default_factory=list)

    def read(self, line: str) -> None:
        """Takes one line of pip's output."""
        self.lines.append(line)
        if found := _FETCHED.match(line):
            self.packages += 1
            if size := _SIZE.search(line):
                self.fetched_mb += float(size[1]) * _UNIT_MB[size[2]]
            self.current = found[1].rsplit("/", 1)[-1].split("-", 1)[0]
        elif line.startswith("Installing collected packages"):
            self.current = "unpacking"

    def __str__(self) -> str:
        return f"{self.packages} packages, {self.fetched_mb:.0f} MB: {self.current}"


def install(python: Path, packages: list[str], log: Path) -> None:
    """Installs `packages` at the versions of the lock, with pip's own configuration (pip.conf, PIP_*).

    The whole of pip's output goes to `log`. Raises Refusal with the reason where pip fails.
    """
    command = [
        str(python),
        "-m",
        "pip",
        "install",
        "--no-input",
        "--disable-pip-version-check",
        "--progress-bar",
        "off",
    ]
    command += ["--constraint", str(CONSTRAINTS), *packages]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"}
    started = time.monotonic()
    progress = Progress()
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as pip:
        assert pip.stdout is not None
        _follow(pip.stdout, progress)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("\n".join(progress.lines) + "\n")
    if pip.returncode:
        raise Refusal(reason(progress.lines, log))
    print(f"  done: {progress.packages} packages in {time.monotonic() - started:.0f} s", flush=True)


def _follow(output: Iterable[str], progress: Progress) -> None:
    """Reads pip's lines to their end; a ticker shows how far it is, also while one large file takes minutes."""
    over = threading.Event()
    ticker = threading.Thread(target=_tick, args=(progress, over))
    ticker.start()
    try:
        for line in output:
            progress.read(line.rstrip("\n"))
    finally:
        over.set()
        ticker.join()


def _tick(progress: Progress, over: threading.Event) -> None:
    """On a terminal one line that rewrites itself, elsewhere a line now and then."""
    terminal = sys.stdout.isatty()
    started = time.monotonic()
    while not over.wait(0.5 if terminal else _QUIET_SECONDS):
        text = f"  {time.monotonic() - started:.0f} s: {progress}"
        print(f"\r{text}\033[K" if terminal else text, end="" if terminal else "\n", flush=True)
    if terminal:
        print("\r\033[K", end="", flush=True)


def reason(lines: list[str], log: Path) -> str:
    """pip's failure in one sentence."""
    output = "\n".join(lines)
    if says_disk_full(output):
        return "The disk became full during the installation. Free some space and start the same command again."
    if any(mark in output for mark in _UNREACHABLE):
        return (
            "pip could not reach the package index. Check the network, or name your own index in pip's configuration "
            f"(pip config set global.index-url ...), and start the same command again. pip's output: {log}"
        )
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return f"pip could not install the packages: {errors[-1] if errors else 'no reason given'} The whole output: {log}"
