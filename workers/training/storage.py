"""What a write that failed means for the job: the disk is full, or read-only, or the next write may well succeed."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from workers.training.failures import JobFailure

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
SYSTEM_CODE = re.compile(r"(?:os error|code:) (\d+)")
"""How Rust libraries name the error that they met."""
TORCH_WRITER = "PytorchStreamWriter"
UNITS = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))


@contextmanager
def writing() -> Iterator[None]:
    """The libraries' own errors for a failed write, as the OSError that it is: a bad disk is not the job's fault."""
    try:
        yield
    except (SafetensorError, RuntimeError) as error:
        code = _system_code(error)
        if code is None:
            raise
        raise OSError(code, f"writing failed: {os.strerror(code)}") from error


def _system_code(error: BaseException) -> int | None:
    """The errno behind a library's error; a write that failed for a reason unsaid counts as a full disk."""
    before: BaseException | None = error
    while before is not None:
        if isinstance(before, OSError) and before.errno:
            return before.errno
        before = before.__cause__ or before.__context__
    found = SYSTEM_CODE.search(str(error))
    if found:
        return int(found[1])
    return errno.ENOSPC if isinstance(error, SafetensorError) or TORCH_WRITER in str(error) else None


def failure(error: OSError, folder: Path, what: str, needed_bytes: int) -> JobFailure | None:
    """The end that the job must come to, with sizes; None where the next write may succeed."""
    if error.errno == errno.EROFS:
        return JobFailure(
            "storage_unreachable",
            f"The worker's disk has become read-only, so {what} could not be written. Look at that machine's disk.",
        )
    if error.errno not in FULL:
        return None
    disk = os.statvfs(folder)
    numbers = {
        "needed_bytes": needed_bytes,
        "free_bytes": disk.f_bavail * disk.f_frsize,
        "free_files": disk.f_favail,
    }
    if disk.f_files and disk.f_favail == 0:
        text = f"The worker's disk has no room for another file (no inodes are left), so {what} could not be written."
        return JobFailure("disk_full", f"{text} Remove some files there and try again.", **numbers)
    return JobFailure(
        "disk_full",
        f"The worker's disk is full: {what} needs {size_text(needed_bytes)}, and {size_text(numbers['free_bytes'])} "
        "are free. Free some space there and try again.",
        **numbers,
    )


def broken(error: OSError, folder: Path, what: str, needed_bytes: int) -> JobFailure:
    """As `failure`, for a write without which the job cannot end well."""
    found = failure(error, folder, what, needed_bytes)
    text = f"The worker's disk failed while {what} was written ({error.strerror}). Look at that machine's disk."
    return found or JobFailure("storage_unreachable", text, errno=error.errno)


def size_text(size: int) -> str:
    for unit, name in UNITS:
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} bytes"
