"""What the bytes of a whole file must add up to: one sha256 in hex, or the sha256 of its parts' sums and their number.

The second is written as S3 writes it, `hex-number`. The check compares it with what it reads, so no store is believed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from webapp.storing import sha256_of

CHUNK_AT_MOST = 8 * 1024**2
"""The most bytes of a chunk that is sent to the site; every part of a file in a bucket but the last has so many."""


def proof_of_parts(sums: Iterable[bytes]) -> str:
    listed = list(sums)
    return f"{hashlib.sha256(b''.join(listed)).hexdigest()}-{len(listed)}"


def fits(path: Path, proof: str) -> bool:
    """Whether the file is what was announced."""
    return proof == (proof_of_parts(_sums(path)) if "-" in proof else sha256_of(path))


def _sums(path: Path) -> Iterable[bytes]:
    with path.open("rb") as file:
        while part := file.read(CHUNK_AT_MOST):
            yield hashlib.sha256(part).digest()
