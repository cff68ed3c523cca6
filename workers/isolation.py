"""Which walls this host can put around a training process, and the command line that puts them up.

Built from `unshare` and `setpriv` of util-linux; a host without them has fewer walls, and says so in `hello`.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import asdict, dataclass
from functools import cache

DEATH_SIGNAL = ("setpriv", "--pdeathsig", "KILL", "--no-new-privs")
"""The kernel kills the process when the worker's thread that started it is gone, and it can gain no rights."""
NAMESPACES = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child=KILL")
OWN_PROC = "--mount-proc"
NO_NETWORK = "--net"
FIRST_PROCESS = ("sh", "-c", '"$@"; exit $?', "sh")
"""Signals to the first process of a namespace are ignored unless handled, so the trainer is the second."""
NO_CAPABILITIES = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")


@dataclass(frozen=True)
class Isolation:
    """The walls by name; True where this host has them."""

    death_signal: bool = False
    process_namespace: bool = False
    """The whole tree ends with its first process; it sees no other process with `own_proc`."""
    own_proc: bool = False
    no_network: bool = False
    no_capabilities: bool = False

    def as_json(self) -> dict[str, bool]:
        return asdict(self)

    def wrap(self, command: tuple[str, ...]) -> tuple[str, ...]:
        """The command behind every wall there is."""
        walls: list[str] = [*DEATH_SIGNAL] if self.death_signal else []
        if self.process_namespace:
            walls += NAMESPACES
            walls += [OWN_PROC] if self.own_proc else []
            walls += [NO_NETWORK] if self.no_network else []
            walls += ["--"]
            walls += NO_CAPABILITIES if self.no_capabilities else ()
            walls += FIRST_PROCESS
        return (*walls, *command)


@cache
def here() -> Isolation:
    """What this host allows, tried out once (some 50 ms)."""
    namespace = _works(*NAMESPACES)
    return Isolation(
        death_signal=_works(*DEATH_SIGNAL),
        process_namespace=namespace,
        own_proc=namespace and _works(*NAMESPACES, OWN_PROC),
        no_network=namespace and _works(*NAMESPACES, NO_NETWORK),
        no_capabilities=namespace and _works(*NAMESPACES, "--", *NO_CAPABILITIES),
    )


def _works(*walls: str) -> bool:
    if shutil.which(walls[0]) is None:
        return False
    tried = subprocess.run([*walls, "true"], capture_output=True, stdin=subprocess.DEVNULL, timeout=10, check=False)
    return tried.returncode == 0
