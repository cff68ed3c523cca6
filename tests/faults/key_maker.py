"""Asks one helping process for worker keys, since starting Django anew for each would cost every fault test seconds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class KeyMaker:
    """One site's helper; it starts with the first question."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self._process: subprocess.Popen[str] | None = None

    def key(self, name: str, pool: str) -> str:
        process = self._process = self._process or self._started()
        assert process.stdin
        assert process.stdout
        process.stdin.write(f"{name} {pool}\n")
        return process.stdout.readline().strip()

    def end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def _started(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.faults.keys"],
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
