"""Turns an exception of a library into a reason and a sentence that a person can act upon."""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping
from typing import Any

import torch

from workers.methods.options import OptionsError
from workers.training.failures import JobFailure

GIB = 2**30
WANTED = re.compile(r"Tried to allocate ([\d.]+) (KiB|MiB|GiB)")
UNITS = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
HOST_MEMORY = re.compile(r"can't allocate memory|not enough memory")
"""What the CPU allocator says, as a plain RuntimeError."""


def of(error: Exception, numbers: Mapping[str, Any]) -> JobFailure:
    """The failure to report; unknown ones are ours, and the worker's log has their details.

    `numbers`: the settings in force and the place reached, as listed in `workers.protocol.pipe`.
    """
    match error:
        case torch.OutOfMemoryError():
            failure = _gpu_oom(error, numbers)
        case OptionsError():
            failure = JobFailure("bad_config", f"{error.message} {error.hint}", field=error.field)
        case MemoryError():
            failure = _host_oom(numbers)
        case RuntimeError() if HOST_MEMORY.search(str(error)):
            failure = _host_oom(numbers)
        case OSError(errno=errno.EFBIG | errno.EDQUOT):
            text = "A file of the training grew beyond the worker's limit; its admin can raise it (file_bytes)."
            failure = JobFailure("disk_full", text)
        case _:
            text = "The training ended on an unexpected problem; the worker's log has the details."
            failure = JobFailure("trainer_error", text, error=type(error).__name__)
    failure.detail = {**numbers, **failure.detail}
    return failure


def _gpu_oom(error: Exception, numbers: Mapping[str, Any]) -> JobFailure:
    found = WANTED.search(str(error))
    memory: dict[str, int] = {"wanted_bytes": int(float(found[1]) * UNITS[found[2]])} if found else {}
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        memory |= {"free_bytes": free, "total_bytes": total, "peak_allocated_bytes": torch.cuda.max_memory_allocated()}
    return JobFailure(
        "gpu_oom", f"The GPU ran out of memory{_memory(memory)}{_at(numbers)}. {_smaller(numbers)}", **memory
    )


def _host_oom(numbers: Mapping[str, Any]) -> JobFailure:
    text = f"The machine's memory did not suffice for the training{_at(numbers)}. {_smaller(numbers)}"
    return JobFailure("host_oom", text)


def _memory(memory: Mapping[str, int]) -> str:
    wanted = f"{memory['wanted_bytes'] / GIB:.2f} GiB more were needed" if "wanted_bytes" in memory else ""
    had = ""
    if "free_bytes" in memory:
        had = f"{memory['free_bytes'] / GIB:.2f} of {memory['total_bytes'] / GIB:.2f} GiB were free"
    said = ", ".join(part for part in (wanted, had) if part)
    return f": {said}" if said else ""


def _at(numbers: Mapping[str, Any]) -> str:
    if "batch_rows" not in numbers:
        return ""
    return f", with {numbers['batch_rows']:,} rows of up to {numbers['batch_length']:,} tokens in one forward pass"


def _smaller(numbers: Mapping[str, Any]) -> str:
    """What takes less memory, first what leaves the result as it is."""
    ways = []
    if numbers.get("micro_batch", 2) > 1:
        ways.append("halve the batch size and double the accumulation")
    if not numbers.get("gradient_checkpointing"):
        ways.append("turn on gradient checkpointing")
    ways.append("shorten the rows")
    if numbers.get("rank", 0) > 1:
        ways.append("halve the rank")
    *most, last = ways
    text = f"{', '.join(most)} or {last}" if most else last
    return f"{text[0].upper()}{text[1:]}."
