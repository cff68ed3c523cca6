"""Hands files in to the site: checkpoints while the training runs, the artifact at its end.

A folder counts only with its manifest, which the trainer writes last. Links are never followed.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any, Protocol

from workers.cache import inside
from workers.client import (
    CHUNK_BYTES,
    POLL_SECONDS,
    Claimed,
    SiteRefused,
    SiteUnreachable,
    StaleAttempt,
    never,
    patiently,
)
from workers.protocol import ARRIVED_DAMAGED, MANIFEST, FileRef

log = logging.getLogger(__name__)
STEP_PREFIX = "step-"
ABANDON_SECONDS = 2.0


class NotComplete(Exception):
    """The folder has no manifest that can be read, or lost a file meanwhile."""


def is_complete(folder: Path) -> bool:
    return not folder.is_symlink() and (folder / MANIFEST).is_file()


def manifest_of(folder: Path) -> dict[str, Any]:
    """Raises NotComplete."""
    try:
        with _open_plain(folder, MANIFEST) as file:
            manifest = json.load(file)
    except (OSError, ValueError) as error:
        raise NotComplete(f"{folder.name} has no readable {MANIFEST}.") from error
    if not isinstance(manifest, dict):
        raise NotComplete(f"The {MANIFEST} of {folder.name} is not an object.")
    return manifest


def files_of(folder: Path) -> list[FileRef]:
    """Every plain file below the folder, by name. Raises NotComplete if one goes away meanwhile."""
    try:
        return sorted(_refs(folder), key=lambda file: file.name)
    except (OSError, ValueError) as error:
        raise NotComplete(f"{folder.name} changed while it was read: {error}.") from error


def _refs(folder: Path) -> Iterator[FileRef]:
    for base, _, names in os.walk(folder):
        for name in names:
            path = Path(base, name)
            if stat.S_ISREG(path.lstat().st_mode):
                name = path.relative_to(folder).as_posix()
                with _open_plain(folder, name) as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
                    yield FileRef(name, file.tell(), digest)


def _open_plain(folder: Path, name: str) -> BufferedReader:
    """A file of a folder that the trainer owns and may change while we look.

    Step by step from the one above it that is the worker's, so that no part of the way can become a link, and
    without waiting for a writer, should the file have become a pipe. Raises OSError, ValueError.
    """
    trusted = folder.parent.parent
    *folders, last = inside(folder, name).relative_to(trusted).parts
    at = os.open(trusted, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in folders:
            above, at = at, os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
            os.close(above)
        file = os.fdopen(os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=at), "rb")
    finally:
        os.close(at)
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "not a plain file")
    return file


def hand_in(claimed: Claimed, folder: Path, give_up: Callable[[], bool], limit_seconds: float) -> list[FileRef]:
    """PUT every file of a folder. Raises NotComplete, StaleAttempt, SiteUnreachable, SiteRefused."""
    files = files_of(folder)
    for file in files:
        patiently(lambda file=file: _put(claimed, folder, file, give_up), give_up, limit_seconds)  # type: ignore[misc]
    return files


def _put(claimed: Claimed, folder: Path, file: FileRef, give_up: Callable[[], bool]) -> None:
    try:
        with _open_plain(folder, file.name) as opened:
            claimed.upload(file, _chunks(opened, give_up))
    except OSError as error:
        raise NotComplete(f"{file.name} went away before it was handed in.") from error
    except SiteRefused as error:
        if error.code != ARRIVED_DAMAGED:
            raise
        raise SiteUnreachable(f"{file.name} arrived damaged at the site.") from error


def _chunks(opened: BufferedReader, give_up: Callable[[], bool]) -> Iterator[bytes]:
    """A large file takes minutes: who cancels does not wait for its end."""
    while chunk := opened.read(CHUNK_BYTES):
        if give_up():
            raise SiteUnreachable("Given up on the way.")
        yield chunk


def as_json(files: list[FileRef]) -> list[dict[str, Any]]:
    return [{"name": file.name, "bytes": file.bytes, "sha256": file.sha256} for file in files]


class Numbers(Protocol):
    """How far an attempt's events are: `reporting.Reporter` is one. Also takes warnings for the log."""

    @property
    def last_said(self) -> int: ...
    @property
    def last_seq(self) -> int: ...
    def say_line(self, text: str, level: str = "info") -> None: ...
    def hurry(self) -> None: ...


@dataclass(frozen=True)
class Waiting:
    """A checkpoint on its way, and the number of the newest event that came before it."""

    folder: Path
    step: int
    best: bool
    after: int


class Checkpoints:
    """Hands in checkpoints in a thread of its own, the newest first in line: an older one that waits is left out.

    One is listed only once the site has every event that came before it: whoever resumes from it goes on with its step,
    so steps that the site never heard of would be missing from the job's series for ever.
    """

    def __init__(
        self, attempt: Claimed, folder: Path, resumed_step: int, limit_seconds: float, events: Numbers
    ) -> None:
        self._attempt, self._folder, self._limit_seconds, self._events = attempt, folder, limit_seconds, events
        self._waiting: SimpleQueue[Waiting | None] = SimpleQueue()
        self._newest_step = resumed_step
        self.give_up = Event()
        self._thread = Thread(target=self._run, name="checkpoints", daemon=True)
        self._thread.start()

    def take(self, event: dict[str, Any]) -> None:
        """A `checkpoint` event of the trainer; returns at once."""
        name, step = Path(str(event.get("folder", ""))).name, event.get("step")
        if isinstance(step, int):
            self._waiting.put(Waiting(self._folder / name, step, bool(event.get("best")), self._events.last_said))

    def finish(self, limit_seconds: float, in_a_hurry: Callable[[], bool] = never) -> None:
        """The training is over: hand in what waits, and a newer one that was written but never reported."""
        with suppress(OSError, ValueError):
            complete = [path for path in self._folder.glob(f"{STEP_PREFIX}*") if is_complete(path)]
            newest = max(complete, key=step_of, default=None)
            if newest is not None:
                self._waiting.put(Waiting(newest, step_of(newest), False, self._events.last_said))
        self._waiting.put(None)
        until = time.monotonic() + limit_seconds
        while self._thread.is_alive() and time.monotonic() < until and not in_a_hurry():
            self._thread.join(POLL_SECONDS)
        self.abandon()

    def abandon(self) -> None:
        """Nobody needs them any more. One that the site does not answer is left to its thread: it harms nothing."""
        self.give_up.set()
        self._waiting.put(None)
        self._thread.join(ABANDON_SECONDS)

    def _run(self) -> None:
        wanted: Waiting | None
        while (wanted := self._waiting.get()) is not None:
            over = False
            while not self._waiting.empty() and not over:
                newer = self._waiting.get()
                over, wanted = newer is None, newer or wanted
            if not self.give_up.is_set() and wanted.step > self._newest_step:
                self._hand_in(wanted)
            if over:
                return

    def _hand_in(self, wanted: Waiting) -> None:
        try:
            manifest = manifest_of(wanted.folder)
            files = hand_in(self._attempt, wanted.folder, self.give_up.is_set, self._limit_seconds)
            self._wait_for_events(wanted.after)
            body = {"step": wanted.step, "best": wanted.best, "files": as_json(files), "manifest": manifest}
            patiently(lambda: self._attempt.post("checkpoints", body), self.give_up.is_set, self._limit_seconds)
            self._newest_step = wanted.step
        except StaleAttempt:
            self.give_up.set()  # the reporter learns it too
        except NotComplete as error:
            log.info("Checkpoint at step %d left out: %s", wanted.step, error)
        except (SiteUnreachable, SiteRefused) as error:
            if not self.give_up.is_set():
                text = f"The checkpoint at step {wanted.step} could not be handed in: {error}"
                self._events.say_line(text, "warning")

    def _wait_for_events(self, number: int) -> None:
        until = time.monotonic() + self._limit_seconds
        self._events.hurry()
        while self._events.last_seq < number:
            if self.give_up.is_set() or time.monotonic() > until:
                raise SiteUnreachable("The site has not taken the events before it.")
            time.sleep(POLL_SECONDS)


def step_of(folder: Path) -> int:
    return int(folder.name.removeprefix(STEP_PREFIX))


def hand_in_artifact(attempt: Claimed, folder: Path, give_up: Callable[[], bool], limit_seconds: float) -> None:
    """Hand in the delta artifact. Raises NotComplete, StaleAttempt, SiteUnreachable, SiteRefused."""
    manifest = manifest_of(folder)
    files = hand_in(attempt, folder, give_up, limit_seconds)
    body = {"kind": "delta", "files": as_json(files), "manifest": manifest}
    patiently(lambda: attempt.post("artifacts", body), give_up, limit_seconds)
