"""Takes in a large file past the site: its sender puts each part into the bucket, at an address that is signed here.

An address is good for one part alone, of one length and one sha256. What has arrived is what the bucket says; whether
it is what was announced is compared again by the check, which reads the whole.
"""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from webapp.datasets.announcing import become, cancel
from webapp.datasets.models import DatasetVersion, Upload
from webapp.datasets.proving import CHUNK_AT_MOST, proof_of_parts
from webapp.datasets.uploading import UploadRefused
from webapp.storing import PartAddress, PartsRefused, Stored, TakesParts, taking_parts


def address(upload: Upload, offset: int, length: int, sha256: str) -> PartAddress:
    """Where to put the part that starts at `offset`; put again, it replaces itself. Raises UploadRefused."""
    storage = _storage(upload)
    if upload.version_id is not None:
        raise UploadRefused("upload.done", "This upload is already complete.", "", 409)
    if offset % CHUNK_AT_MOST or not 0 <= offset < upload.bytes:
        message = (
            f"No part starts at byte {offset:,}; they start every {CHUNK_AT_MOST:,} of the {upload.bytes:,} bytes."
        )
        raise UploadRefused("upload.offset", message, "Ask for the offset, and go on from there.")
    whole = min(CHUNK_AT_MOST, upload.bytes - offset)
    if length != whole:
        message = f"The part at byte {offset:,} has {length:,} bytes; it must have {whole:,}."
        raise UploadRefused("upload.chunk_size", message, "Only the last part is smaller.")
    number = offset // CHUNK_AT_MOST + 1
    with transaction.atomic():
        held = Upload.objects.select_for_update().get(pk=upload.pk)
        held.part_sums[str(number)] = sha256
        held.touched_at = timezone.now()
        held.save(update_fields=["part_sums", "touched_at"])
    return storage.part_address(upload.key, upload.parts_id, number, length, sha256)


def arrived(upload: Upload) -> int:
    """Bytes from the start on that the bucket has; there the sender goes on."""
    if upload.version_id is None and upload.parts_id:
        try:
            upload.offset = _reached(upload, _storage(upload).parts(upload.key, upload.parts_id))
        except FileNotFoundError:
            upload.offset = upload.bytes  # they are one file already, and only its version is missing
        Upload.objects.filter(pk=upload.pk, version=None).update(offset=upload.offset)
    return upload.offset


def _reached(upload: Upload, parts: dict[int, tuple[int, str]]) -> int:
    reached, number = 0, 1
    while reached < upload.bytes:
        size, _ = parts.get(number, (0, ""))
        if size != min(CHUNK_AT_MOST, upload.bytes - reached) or str(number) not in upload.part_sums:
            break
        reached, number = reached + size, number + 1
    return reached


def complete(upload: Upload) -> DatasetVersion:
    """The version that comes of it once all parts are there; the same one when asked twice. Raises UploadRefused."""
    if upload.version is not None:
        return upload.version
    storage = _storage(upload)
    try:
        _join(storage, upload, storage.parts(upload.key, upload.parts_id))
    except FileNotFoundError:  # another request may have joined them between two questions, too
        _require_joined(storage, upload)
    count = -(-upload.bytes // CHUNK_AT_MOST)
    proof = proof_of_parts(bytes.fromhex(upload.part_sums[str(number)]) for number in range(1, count + 1))
    return become(upload, Stored(upload.key, upload.sha256, upload.bytes), upload.sha256 or proof)


def _join(storage: TakesParts, upload: Upload, parts: dict[int, tuple[int, str]]) -> None:
    reached = _reached(upload, parts)
    if reached < upload.bytes:
        message = f"Of {upload.bytes:,} bytes {reached:,} are there."
        raise UploadRefused("upload.incomplete", message, "Ask for the offset, and go on from there.", 409)
    count = -(-upload.bytes // CHUNK_AT_MOST)
    wanted = {number: (parts[number][1], upload.part_sums[str(number)]) for number in range(1, count + 1)}
    try:
        storage.join_parts(upload.key, upload.parts_id, wanted)
    except PartsRefused as error:
        cancel(upload)
        message = "The parts that arrived are not those that were announced; nothing was kept."
        raise UploadRefused("upload.damaged", message, "Upload it again.") from error


def _require_joined(storage: TakesParts, upload: Upload) -> None:
    """The parts are gone: they were made one file before, and the answer was lost. Else the upload is over."""
    try:
        whole = storage.size(upload.key) == upload.bytes
    except FileNotFoundError:
        whole = False
    if not whole:
        cancel(upload)
        raise UploadRefused("upload.lost", "The bucket no longer has this upload's parts.", "Upload it again.", 410)


def _storage(upload: Upload) -> TakesParts:
    storage = taking_parts() if upload.parts_id else None
    if storage is None:
        message = "This upload's chunks are sent to the site itself."
        raise UploadRefused("upload.to_the_site", message, "Send them with PATCH.", 409)
    return storage
