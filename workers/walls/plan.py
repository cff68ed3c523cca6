"""What is put up around one tree: written by the worker, read by the two stages of `workers.walls`."""

from __future__ import annotations

import json
from typing import NamedTuple

from workers.walls.files import Rule

CANNOT = 125
"""Exit code where a wall could not be put up, as `env` and `timeout` say it: the command was not even started."""


class Plan(NamedTuple):
    """Walls with what they need to know; the defaults put up none."""

    rules: tuple[Rule, ...] = ()
    cgroups: tuple[str, ...] = ()
    """Folders to join before anything else."""
    user: int = 0
    """Number of the user to become; 0 to stay who we are."""
    parent: int = 0
    """The worker's process id: if it is gone, so are we."""
    own_view: bool = False
    loopback: bool = False
    last_namespace: bool = False
    """No user namespace may be made below this one: each gives its maker all capabilities again."""
    file_rules: bool = False
    no_tcp: bool = False
    file_bytes: int = 0
    processes: int = 0
    open_files: int = 0
    """Resource limits; 0 for none."""

    def as_text(self) -> str:
        return json.dumps(self._asdict())

    @classmethod
    def from_text(cls, text: str) -> Plan:
        data = json.loads(text)
        data["rules"] = tuple(Rule(*rule) for rule in data["rules"])
        return cls(**data)
