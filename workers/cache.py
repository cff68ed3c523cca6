"""Input files by their sha256, fetched once and linked into job folders; the least used go when room is short."""

from __future__ import annotations

import errno
import os
import shutil
import threading
import uuid
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from workers.protocol import FileRef

DEFAULT_LIMIT_BYTES = 50 * 1024**3
RESERVE_BYTES = 256 * 1024**2
"""Left free on the disk, whatever the limit says."""
READ_ONLY = 0o444


class DiskFull(Exception):
    """The worker's disk has no room: the sentence names the file and the sizes."""


class Cache:
    """A folder of verified files. Thread-safe within one worker process."""

    def __init__(self, folder: Path, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self._folder, self._limit_bytes = folder, limit_bytes
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._room = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        for torn in folder.glob("*.part"):
            torn.unlink()

    def has(self, file: FileRef) -> bool:
        return (self._folder / file.sha256).exists()

    def link(self, file: FileRef, into: Path, download: Callable[[FileRef, Path], None]) -> None:
        """Put the file at `into / file.name`, read-only. `download` writes it to a path and checks its sha256.

        Raises DiskFull, ValueError for a name that leaves the folder, and what `download` raises.
        """
        target = inside(into, file.name)
        with self._locks[file.sha256]:
            kept = self._folder / file.sha256
            if not kept.exists():
                self._fetch(file, kept, download)
            os.utime(kept)
            target.parent.mkdir(parents=True, exist_ok=True)
            _link(kept, target)

    def _fetch(self, file: FileRef, kept: Path, download: Callable[[FileRef, Path], None]) -> None:
        part = kept.with_name(f"{file.sha256}.{uuid.uuid4().hex}.part")
        self._make_room(file)
        try:
            download(file, part)
            part.chmod(READ_ONLY)
            part.rename(kept)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise DiskFull(f"The worker's disk filled up while fetching {file.name} ({file.bytes:,} bytes).") from error
        finally:
            part.unlink(missing_ok=True)

    def _make_room(self, file: FileRef) -> None:
        with self._room:
            files = sorted(((path.stat(), path) for path in self._folder.iterdir()), key=lambda each: each[0].st_mtime)
            total = sum(stat.st_size for stat, _ in files)
            unused = [(stat, path) for stat, path in files if stat.st_nlink == 1 and path.suffix != ".part"]
            for stat, path in unused:
                if total + file.bytes <= self._limit_bytes and self._free() >= file.bytes + RESERVE_BYTES:
                    return
                path.unlink(missing_ok=True)
                total -= stat.st_size
            if self._free() < file.bytes + RESERVE_BYTES:
                raise DiskFull(
                    f"The worker's disk has {self._free():,} bytes free; fetching {file.name} needs {file.bytes:,} "
                    f"and {RESERVE_BYTES:,} stay free. Free space under {self._folder} and retry."
                )

    def _free(self) -> int:
        return shutil.disk_usage(self._folder).free


def inside(folder: Path, name: str) -> Path:
    """The path of a listed file. Raises ValueError if the name would leave the folder."""
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\\" in name or "\0" in name:
        raise ValueError(f"`{name}` is not a plain relative path.")
    return folder.joinpath(*parts)


def _link(kept: Path, target: Path) -> None:
    """A hard link, so that cleaning the cache takes nothing from a running job; a copy where links do not work."""
    try:
        os.link(kept, target)
    except OSError:
        shutil.copyfile(kept, target)
        target.chmod(READ_ONLY)
