"""How much of the machine one training may take, with defaults from the machine itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields

import psutil

LIMITS_VARIABLE = "DELTABOARD_TRAINER_LIMITS"
KEPT_FREE_BYTES = 1024**3
"""Of the machine's memory: the worker itself must go on when a training takes too much."""


def _most_memory() -> int:
    total: int = psutil.virtual_memory().total
    return max(total - KEPT_FREE_BYTES, total // 2)


@dataclass(frozen=True)
class Limits:
    """Read from `DELTABOARD_TRAINER_LIMITS`, a JSON object with any of these; 0 lifts a limit."""

    memory_bytes: int = _most_memory()
    """Of the whole tree, by cgroup; its address space is not limited: CUDA reserves far more than it uses."""
    file_bytes: int = 256 * 1024**3
    """Of one file."""
    processes: int = 4096
    """Processes and threads of the whole tree."""
    open_files: int = 65_536
    """Of one process."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Limits:
        """Raises ValueError with a sentence for anything but whole numbers under known names."""
        try:
            asked = json.loads(environment.get(LIMITS_VARIABLE, "{}"))
        except ValueError as error:
            raise ValueError(f"{LIMITS_VARIABLE} is no JSON: {error}. {_EXAMPLE}") from error
        known = [field.name for field in fields(cls)]
        if not isinstance(asked, dict):
            raise ValueError(f"{LIMITS_VARIABLE} is no JSON object. {_EXAMPLE}")
        for name, value in asked.items():
            if name not in known:
                raise ValueError(f"{LIMITS_VARIABLE} has an unknown limit `{name}`; there are: {', '.join(known)}.")
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise ValueError(f"{LIMITS_VARIABLE}: `{name}` must be a whole number, 0 or more, not {value!r}.")
        return cls(**asked)


_EXAMPLE = 'Write it like {"memory_bytes": 64000000000, "processes": 4096}.'
