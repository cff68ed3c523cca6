"""Where things lie: the repository, its environment, the state folder and its locks. What lies in them, others know."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from launcher.refusal import Refusal

ROOT = Path(__file__).resolve().parent.parent
MANAGE = ROOT / "manage.py"


def state_folder() -> Path:
    """The folder of the embedded default's state: `var/`, or what DELTABOARD_VAR names."""
    return Path(os.environ.get("DELTABOARD_VAR") or ROOT / "var").absolute()


def make_private(folder: Path) -> Path:
    """Makes `folder` for this user alone: keys, data and models of several teams come to lie in it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except PermissionError:
        raise Refusal(f"{folder} cannot be made: permission denied. Name your own in DELTABOARD_VAR.") from None
    return folder


def write_private(path: Path, text: str) -> None:
    """Writes a secret: readable by this user alone from its first byte, and complete or absent."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(path)


def require_space(folder: Path, needed_mb: int, purpose: str) -> None:
    """Refuses before anything is half written where less than `needed_mb` megabytes are free."""
    free_mb = shutil.disk_usage(folder).free // 10**6
    if free_mb < needed_mb:
        raise Refusal(
            f"The disk under {folder} is nearly full: {free_mb} MB are free, {purpose} needs {needed_mb} MB. "
            "Free some space and start the same command again."
        )


def try_lock(path: Path) -> IO[str] | None:
    """Takes the lock file for as long as the answer stays open; None where another process holds it."""
    stream = path.open("a+")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        stream.close()
        return None
    return stream


@contextmanager
def waiting_lock(path: Path, notice: str) -> Iterator[None]:
    """Holds the lock file, after printing `notice` once when somebody else still has it."""
    with path.open("a+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(notice, flush=True)
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield
