"""What a worker says of itself when it greets the site."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from workers.protocol.version import PROTOCOL


@dataclass(frozen=True)
class Device:
    """One thing that a slot trains on."""

    index: int
    kind: Literal["cuda", "cpu"]
    name: str
    memory_bytes: int
    memory_free_bytes: int
    utilisation_percent: float | None = None
    power_watts: float | None = None
    temperature_celsius: float | None = None


@dataclass(frozen=True)
class WorkerReport:
    """`POST hello`, every 5 s: what this worker process is."""

    boot_id: str
    """Random at each start; attempts of an older boot end at once."""
    hostname: str
    version: str
    slots: int
    busy_slots: int
    threads_per_slot: int
    cores: int
    devices: tuple[Device, ...]
    place: str = ""
    """Stands for host and home folder. In one place a lock keeps a second process out, so a newer boot there is it."""
    labels: tuple[str, ...] = ()
    draining: bool = False
    deaf: bool = False
    """Permits do not reach it though the broker answers: it ends its attempts, then starts afresh."""
    isolation: dict[str, bool] = field(default_factory=dict)
    """Sandbox layers by name and whether this host has them."""
    versions: dict[str, str] = field(default_factory=dict)
    """Of what trains here: python, torch, the GPU driver …"""
    lacks: tuple[str, ...] = ()
    """Packages that some methods need and that are not here."""
    protocol: int = PROTOCOL

    def as_json(self) -> dict[str, Any]:
        return asdict(self)
