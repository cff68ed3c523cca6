"""Runs a download as a process of its own and tells its progress from the bytes that arrive on disk.

A process can be ended at once, a thread cannot: whatever `tell` raises ends the download.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from workers.fetch_problem import FetchProblem, size_text

Tell = Callable[[str, float | None], None]
TELL_SECONDS = 1.0
POLL_SECONDS = 0.1
STALL_SECONDS = 180.0


@dataclass(frozen=True)
class Ended:
    """How the download's process ended."""

    code: int
    errors: str


@dataclass
class Progress:
    """Tells the bytes in a folder, at most once a second, and notices when nothing arrives any more."""

    folder: Path
    expected_bytes: int | None
    tell: Tell
    told_at: float = 0.0
    seen_bytes: int = 0
    grew_at: float = 0.0

    def look(self) -> None:
        """Raises FetchProblem after three minutes without a new byte."""
        now = time.monotonic()
        if now - self.told_at < TELL_SECONDS:
            return
        arrived = folder_bytes(self.folder)
        if arrived != self.seen_bytes or not self.grew_at:
            self.seen_bytes, self.grew_at = arrived, now
        self.told_at = now
        self.tell(*progress_of(arrived, self.expected_bytes))
        if now - self.grew_at > STALL_SECONDS:
            raise FetchProblem(
                "fetch.stalled",
                f"The download stopped: no byte arrived for {STALL_SECONDS / 60:.0f} minutes.",
                "Check the worker's way to the network, then try again.",
            )


def progress_of(arrived: int, expected: int | None) -> tuple[str, float | None]:
    """The text and fraction for so many bytes of a download."""
    if not expected:
        return f"Downloading, {size_text(arrived)} so far", None
    return f"Downloading {size_text(expected)}", min(1.0, arrived / expected)


def folder_bytes(folder: Path) -> int:
    """Bytes below a folder that somebody else is writing into."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(place, name)).st_size  # noqa: PTH116, PTH118
            except FileNotFoundError:
                continue
    return total


def run_watched(command: list[str], environment: dict[str, str], said: str, progress: Progress) -> Ended:
    """Run the command to its end, or end it when `progress` raises. `said` goes to its standard input."""
    with tempfile.TemporaryFile() as errors, tempfile.TemporaryFile() as words:
        words.write(said.encode())
        words.seek(0)
        process = subprocess.Popen(
            command, stdin=words, stdout=errors, stderr=errors, env=environment, start_new_session=True
        )
        try:
            while process.poll() is None:
                progress.look()
                time.sleep(POLL_SECONDS)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        errors.seek(0)
        return Ended(process.returncode, errors.read().decode(errors="replace"))
