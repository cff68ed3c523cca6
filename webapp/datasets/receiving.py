"""Takes in a large file chunk by chunk, to one file beside the storage; constant memory whatever its size.

A chunk counts once it is on disk and its sha256 fits; what a crash left behind the offset is written over. What is in
the file is for vetting.py to say.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
from collections.abc import Iterator, Sequence

from django.utils import timezone

from webapp.datasets.announcing import become, cancel, part_of, prefix_of
from webapp.datasets.models import DatasetVersion, Upload
from webapp.datasets.proving import CHUNK_AT_MOST
from webapp.datasets.uploading import UploadRefused
from webapp.storing import DiskNearlyFull, Stored, require_space, sha256_of, store_by_move


def check_chunk(upload: Upload, offset: int, length: int) -> None:
    """Raise UploadRefused where a chunk cannot be the next one; asked before its body is read."""
    if upload.version_id is not None:
        raise UploadRefused("upload.done", "This upload is already complete.", "", 409)
    if upload.parts_id:
        message = "This upload's parts go into the bucket, past the site."
        raise UploadRefused("upload.to_the_bucket", message, "Ask for an address with POST …/parts.", 409)
    if offset != upload.offset:
        message = f"The chunk starts at byte {offset:,}; the next one starts at {upload.offset:,}."
        raise UploadRefused("upload.offset", message, "Ask for the offset with HEAD and go on from there.", 409)
    if not 0 < length <= CHUNK_AT_MOST:
        message = f"The chunk has {length:,} bytes; a chunk has 1 to {CHUNK_AT_MOST:,}."
        raise UploadRefused("upload.chunk_size", message, "Send smaller chunks.", 413)
    if offset + length > upload.bytes:
        message = f"The chunk ends at byte {offset + length:,}, beyond the {upload.bytes:,} that were announced."
        raise UploadRefused("upload.length", message, "Begin a new upload with the right size.", 422)


def add_chunk(upload: Upload, offset: int, pieces: Sequence[bytes], sha256: str) -> DatasetVersion | None:
    """Keep one chunk, in the pieces it came in; after the last one, the version that came of it.

    Raises UploadRefused, DiskNearlyFull.
    """
    digest, length = hashlib.sha256(), sum(map(len, pieces))
    for piece in pieces:
        digest.update(piece)
    if digest.hexdigest() != sha256:
        message = f"The chunk at byte {offset:,} does not have the sha256 that was sent with it."
        raise UploadRefused("upload.chunk_damaged", message, "Send the chunk again.", 422)
    with _held(upload) as file:
        upload.refresh_from_db()
        check_chunk(upload, offset, length)
        _write(upload, file, pieces, length)
        upload.offset, upload.touched_at = offset + length, timezone.now()
        if upload.offset == upload.bytes:
            return _finish(upload)
        upload.save(update_fields=["offset", "touched_at"])
        return None


@contextlib.contextmanager
def _held(upload: Upload) -> Iterator[int]:
    """The part, open and ours alone: two requests for one upload never write together."""
    path = part_of(upload)
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield file
    except BlockingIOError as error:
        message = "Another request is sending a chunk of this upload."
        raise UploadRefused("upload.busy", message, "Wait for it, then ask for the offset with HEAD.", 409) from error
    finally:
        os.close(file)


def _write(upload: Upload, file: int, pieces: Sequence[bytes], length: int) -> None:
    """From the upload's offset on."""
    place = upload.offset
    try:
        require_space(length)
        for piece in pieces:
            left = memoryview(piece)
            while left:
                written = os.pwrite(file, left, place)
                left, place = left[written:], place + written
        os.fsync(file)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        cancel(upload)
        raise DiskNearlyFull(length, 0) from error
    except DiskNearlyFull:
        cancel(upload)
        raise


def _finish(upload: Upload) -> DatasetVersion:
    """All bytes are here: verified, put into the storage, and made a version of.

    The part stays until then, and the last chunk counts only with the version: after a fault it is sent once more.
    """
    path = part_of(upload)
    digest = sha256_of(path) if upload.sha256 else ""
    if path.stat().st_size != upload.bytes or digest != upload.sha256:
        cancel(upload)
        message = "The whole file does not have the sha256 that was announced; nothing was kept."
        raise UploadRefused("upload.damaged", message, "Upload it again.", 422)
    whole = path.with_suffix(".whole")
    whole.unlink(missing_ok=True)
    os.link(path, whole)  # a second name for the same bytes, which the storage takes
    try:
        version = become(upload, Stored(store_by_move(prefix_of(upload), whole), digest, upload.bytes))
    finally:
        whole.unlink(missing_ok=True)
    path.unlink(missing_ok=True)
    return version
