"""Which walls this host can put around a training process, and the command line that puts them up.

Built from `unshare` and `setpriv` of util-linux and from `workers.walls`; a host without them has fewer walls, and
says so in `hello`. What each wall is for, `workers.protocol.sandbox` says.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from workers import cgroups
from workers.limits import Limits
from workers.protocol import LAYERS
from workers.walls import landlock
from workers.walls.files import REPOSITORY, rules
from workers.walls.plan import Plan

DEATH_SIGNAL = ("setpriv", "--pdeathsig", "KILL", "--no-new-privs")
"""The kernel kills the process when the worker's thread that started it is gone, and it can gain no rights."""
NAMESPACES = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child=KILL")
OWN_PROC = "--mount-proc"
NO_NETWORK = "--net"
FIRST_PROCESS = ("sh", "-c", '"$@"; exit $?', "sh")
"""Signals to the first process of a namespace are ignored unless handled, so the trainer is the second."""
NO_CAPABILITIES = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
WALLS = (sys.executable, "-S", "-P", "-m", "workers.walls")
FIRST_USER = 60_706
"""The first of the numbers that no distribution gives to anybody; each slot has one."""
USERS = 478


@dataclass(frozen=True)
class Enclosed:
    """What stands inside the walls."""

    command: tuple[str, ...]
    writable: Path
    slot: int = 0
    cuda: bool = False
    several_processes: bool = False
    """They talk over 127.0.0.1, so the file rules leave TCP alone."""
    cgroups: tuple[str, ...] = ()


@dataclass(frozen=True)
class Isolation:
    """The walls by name; True where this host has them."""

    death_signal: bool = False
    process_namespace: bool = False
    """The whole tree ends with its first process; it sees no other process with `own_proc`."""
    own_proc: bool = False
    no_network: bool = False
    no_capabilities: bool = False
    own_view: bool = False
    separate_user: bool = False
    file_rules: bool = False
    signal_rules: bool = False
    size_limits: bool = False
    process_limit: bool = False
    memory_limit: bool = False
    limits: Limits = field(default_factory=Limits)

    def as_json(self) -> dict[str, bool]:
        return {layer.name: getattr(self, layer.name) for layer in LAYERS}

    def user_of(self, slot: int) -> int:
        """The user that a slot's trees run as; 0 for the worker's own."""
        return FIRST_USER + slot % USERS if self.separate_user else 0

    def wrap(self, inside: Enclosed) -> tuple[str, ...]:
        """The command behind every wall there is."""
        plan = self._plan(inside)
        walls: list[str] = [*DEATH_SIGNAL] if self.death_signal else []
        if plan.cgroups or plan.user:
            walls += [*WALLS, "outer", plan.as_text()]
        if self.process_namespace:
            walls += NAMESPACES
            walls += [OWN_PROC] if self.own_proc else []
            walls += [NO_NETWORK] if self.no_network else []
            walls += ["--"]
        if self.size_limits or self.file_rules or plan.loopback or plan.own_view or plan.last_namespace:
            walls += [*WALLS, "inner", plan.as_text()]
        if self.no_capabilities and (self.process_namespace or os.geteuid() == 0):  # else there are none to drop
            walls += NO_CAPABILITIES
        if self.process_namespace:
            walls += FIRST_PROCESS
        return (*walls, *inside.command)

    def _plan(self, inside: Enclosed) -> Plan:
        sized = self.size_limits
        counted = self.separate_user or self.process_namespace
        allowed = rules(inside.command, inside.writable, cuda=inside.cuda) if self.own_view or self.file_rules else []
        return Plan(
            rules=tuple(allowed),
            cgroups=inside.cgroups,
            user=self.user_of(inside.slot),
            parent=os.getpid(),
            own_view=self.own_view,
            loopback=self.no_network,
            last_namespace=self.process_namespace and self.no_capabilities,
            file_rules=self.file_rules,
            no_tcp=not self.no_network and not inside.several_processes,
            file_bytes=self.limits.file_bytes if sized else 0,
            processes=self.limits.processes if sized and counted else 0,  # else it counts all that this user runs
            open_files=self.limits.open_files if sized else 0,
        )


@cache
def here() -> Isolation:
    """What this host allows, tried out once: all walls at a time, one by one only where that does not work."""
    groups, version = cgroups.parents(), landlock.version()
    tried = _best(Isolation(memory_limit=groups.memory is not None), _worth_trying(version))
    counts = tried.separate_user or (tried.process_namespace and os.geteuid() != 0)
    return replace(
        tried,
        signal_rules=tried.file_rules and version >= landlock.SCOPES_SINCE,
        process_limit=groups.pids is not None or (tried.size_limits and counts),
    )


def _worth_trying(landlock_version: int) -> list[str]:
    names = ["death_signal", "process_namespace", "own_proc", "no_network", "no_capabilities", "size_limits"]
    names += ["file_rules"] if landlock_version else []
    names += ["own_view"] if sys.platform == "linux" else []
    return names + (["separate_user"] if os.geteuid() == 0 else [])


def _best(least: Isolation, names: list[str]) -> Isolation:
    if _works(whole := _with(least, *names)):
        return whole
    for name in names:
        if name not in NEEDS or getattr(least, NEEDS[name]):
            more = _with(least, name)
            least = more if _works(more) else least
    return least


def _with(isolation: Isolation, *names: str) -> Isolation:
    walls: dict[str, Any] = dict.fromkeys(names, True)
    return replace(isolation, **walls)


NEEDS = {
    "own_proc": "process_namespace",
    "no_network": "process_namespace",
    "no_capabilities": "death_signal",
    "own_view": "own_proc",
    "separate_user": "own_view",
}
"""A wall that leans on another. Another user without a view of its own cannot reach its folder below a private home."""


def _works(isolation: Isolation) -> bool:
    """Does a Python process of this environment start behind these walls and write to its folder?"""
    with tempfile.TemporaryDirectory() as made:
        user = isolation.user_of(0)
        if user:
            os.chown(made, user, user)
        trial = (sys.executable, "-P", "-c", "import workers.protocol; open('tried', 'w').close()")
        command = isolation.wrap(Enclosed(trial, Path(made)))
        if shutil.which(command[0]) is None:
            return False
        environment = {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(REPOSITORY)}
        try:
            subprocess.run(
                command,
                cwd=made,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=60,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            return False
        return Path(made, "tried").exists()
