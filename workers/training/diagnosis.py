"""Turns an exception of a library into a reason and a sentence that a person can act upon."""

from __future__ import annotations

import errno
import re

import torch

from workers.methods.options import OptionsError
from workers.training.failures import JobFailure

GIB = 2**30
WANTED = re.compile(r"Tried to allocate ([\d.]+) (KiB|MiB|GiB)")
UNITS = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def of(error: Exception) -> JobFailure:
    """The failure to report; unknown ones are ours, and the worker's log has their details."""
    match error:
        case torch.OutOfMemoryError():
            return _gpu_oom(error)
        case OptionsError():
            return JobFailure("bad_config", f"{error.message} {error.hint}", field=error.field)
        case OSError(errno=errno.ENOSPC):
            return JobFailure("disk_full", "The worker's disk is full; free some space there and try again.")
        case OSError(errno=errno.EFBIG | errno.EDQUOT):
            text = "A file of the training grew beyond the worker's limit; its admin can raise it (file_bytes)."
            return JobFailure("disk_full", text)
    return JobFailure("trainer_error", "The training ended on an unexpected problem; the worker's log has the details.")


def _gpu_oom(error: Exception) -> JobFailure:
    found = WANTED.search(str(error))
    wanted = int(float(found[1]) * UNITS[found[2]]) if found else 0
    free, total = torch.cuda.mem_get_info()
    peak = torch.cuda.max_memory_allocated()
    return JobFailure(
        "gpu_oom",
        f"The GPU ran out of memory: {wanted / GIB:.2f} GiB more were needed, {free / GIB:.2f} of "
        f"{total / GIB:.2f} GiB were free. Halve the batch size and double the accumulation, shorten the rows, "
        "or turn on gradient checkpointing.",
        wanted_bytes=wanted,
        free_bytes=free,
        total_bytes=total,
        peak_allocated_bytes=peak,
    )
