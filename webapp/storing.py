"""Files that the site keeps: stored under random keys, hashed on the way in, streamed on the way out.

It knows nothing of who may see a file: callers reach it only after a permission check on a row.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import shutil
import tempfile
import uuid
import zipfile
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from django.conf import settings
from django.core.files.base import File
from django.core.files.storage import default_storage
from django.http import StreamingHttpResponse
from django.utils.http import content_disposition_header

CHUNK_BYTES = 1024 * 1024


class DiskNearlyFull(Exception):
    """Writing this would leave less than the reserve; nothing was written (507)."""

    def __init__(self, needed: int, free: int) -> None:
        super().__init__(
            f"The site's disk has {free / 1024**3:.1f} GiB free; with a reserve of "
            f"{settings.DISK_RESERVE_BYTES / 1024**3:.1f} GiB there is no room for {needed / 1024**2:.0f} MiB more. "
            "Ask the site's admin to free space; nothing was stored."
        )


class StorageAway(Exception):
    """The store of files does not answer, or refuses; the same may work later (503). What is stored stays so."""


class PartsRefused(Exception):
    """The bucket has other parts than those that were to become one file."""


@dataclass(frozen=True)
class Stored:
    """One stored file."""

    key: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class PartAddress:
    """Where a sender PUTs one part of a file, with which headers, for how many seconds."""

    url: str
    headers: dict[str, str]
    seconds: int


class TakesParts(Protocol):
    """A storage that senders reach themselves, with parts of a file; see bucket.Bucket for what each does."""

    def begin_parts(self, name: str) -> str: ...
    def part_address(self, name: str, parts_id: str, number: int, length: int, sha256: str) -> PartAddress: ...
    def parts(self, name: str, parts_id: str) -> dict[int, tuple[int, str]]: ...
    def join_parts(self, name: str, parts_id: str, parts: Mapping[int, tuple[str, str]]) -> None: ...
    def drop_parts(self, name: str) -> None: ...
    def size(self, name: str) -> int: ...


def taking_parts() -> TakesParts | None:
    """The storage, if senders reach it themselves."""
    storage: Any = default_storage
    return storage if getattr(storage, "public_url", "") else None


class _Hashing(File):  # type: ignore[type-arg]
    """A file made of chunks that is hashed while the storage backend reads it."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        super().__init__(None)
        self.source, self.hash, self.count = chunks, hashlib.sha256(), 0
        self._coming, self._held = self.chunks(), b""

    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """What Django's folder storage reads."""
        for chunk in self.source:
            self.hash.update(chunk)
            self.count += len(chunk)
            yield chunk

    def read(self, size: int = -1) -> bytes:
        """What a bucket reads: so many bytes, fewer only at the end."""
        parts = [self._held]
        while size < 0 or sum(map(len, parts)) < size:
            chunk = next(self._coming, None)
            if chunk is None:
                break
            parts.append(chunk)
        found = b"".join(parts)
        wanted = len(found) if size < 0 else size
        self._held = found[wanted:]
        return found[:wanted]


def require_space(needed: int) -> None:
    """Raise DiskNearlyFull unless the disk keeps its reserve after `needed` more bytes."""
    free = shutil.disk_usage(settings.VAR).free
    if free - needed < settings.DISK_RESERVE_BYTES:
        raise DiskNearlyFull(needed, free)


def store(prefix: str, chunks: Iterable[bytes]) -> Stored:
    """Keep these bytes under `prefix/<random>`; on any error nothing stays behind."""
    key = f"{prefix}/{uuid.uuid4().hex}"
    content = _Hashing(chunks)
    try:
        default_storage.save(key, content)
    except BaseException:
        with contextlib.suppress(StorageAway):  # what stays then is listed nowhere, and swept
            default_storage.delete(key)
        raise
    return Stored(key, content.hash.hexdigest(), content.count)


def store_file(prefix: str, path: Path) -> Stored:
    with path.open("rb") as file:
        return store(prefix, chunks_of(file))


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def take_in(prefix: str, path: Path) -> Stored:
    """Keep a finished file as it lies there; the path is gone."""
    size, sha256 = path.stat().st_size, sha256_of(path)
    return Stored(store_by_move(prefix, path), sha256, size)


def store_by_move(prefix: str, path: Path) -> str:
    """Keep a whole file under a random key, without a copy where the storage is on the same disk; the path is gone."""
    key = f"{prefix}/{uuid.uuid4().hex}"
    with path.open("rb") as file:
        content: Any = File(file)
        content.temporary_file_path = lambda: str(path)  # Django's folder storage moves such a file
        default_storage.save(key, content)
    path.unlink(missing_ok=True)
    return key


def chunks_of(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(CHUNK_BYTES):
        yield chunk


def open_stored(key: str) -> IO[bytes]:
    """The stored file; raises FileNotFoundError if it is gone."""
    file: Any = default_storage.open(key, "rb")
    return file  # type: ignore[no-any-return]


def open_ranged(key: str) -> IO[bytes]:
    """The stored file for a reader of some of it, who seeks; out of a bucket, no more than that is fetched."""
    storage: Any = default_storage
    return storage.open_ranged(key) if hasattr(storage, "open_ranged") else open_stored(key)


def copy_to(key: str, path: Path) -> None:
    with open_stored(key) as source, path.open("wb") as target:
        shutil.copyfileobj(source, target, CHUNK_BYTES)


@contextlib.contextmanager
def on_disk(key: str, copy: Path) -> Iterator[Path]:
    """The stored file for a reader that wants a path: where it lies in a folder, or a copy of what is in a bucket."""
    try:
        path = Path(default_storage.path(key))
    except NotImplementedError:
        copy_to(key, copy)
        path = copy
    try:
        yield path
    finally:
        copy.unlink(missing_ok=True)


def forget(key: str) -> None:
    default_storage.delete(key)


def forget_all(keys: Iterable[str]) -> None:
    for key in keys:
        forget(key)


def zipped(files: Iterable[tuple[str, IO[bytes]]]) -> tuple[IO[bytes], int]:
    """All files in one uncompressed zip on disk, and its length; each is closed once it is in."""
    archive = tempfile.TemporaryFile(dir=settings.FILE_UPLOAD_TEMP_DIR)  # noqa: SIM115  (the response closes it)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as made:
        for name, file in files:
            with file, made.open(zipfile.ZipInfo(name), "w", force_zip64=True) as target:
                for chunk in chunks_of(file):
                    target.write(chunk)
    length = archive.tell()
    archive.seek(0)
    return archive, length


async def _stream(file: IO[bytes]) -> AsyncIterator[bytes]:
    # An async iterator: Django under ASGI would read a synchronous one whole into memory first.
    try:
        while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
            yield chunk
    finally:
        file.close()


def streamed(file: IO[bytes], length: int, content_type: str, download_as: str = "") -> StreamingHttpResponse:
    """A response that sends an open file without holding it in memory."""
    response = StreamingHttpResponse(_stream(file), content_type=content_type)
    response["Content-Length"] = str(length)
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "private, no-store"
    if download_as:
        response["Content-Disposition"] = content_disposition_header(True, download_as) or "attachment"
        response["Content-Security-Policy"] = "sandbox"
    return response
