"""What a worker's machine does beside its devices: processor, memory, disk, network, as metric values by name."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import psutil


class Host:
    """Looks at this machine; shares and rates are those since the look before. `folder` tells which disk."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._clock = folder, clock
        self._marks = self._counted()

    def look(self) -> dict[str, float]:
        """Percent, bytes, bytes a second; only what this machine tells. Never raises."""
        try:
            return self._look()
        except (OSError, RuntimeError, psutil.Error):  # a folder that is gone, a machine that hides its counters
            return {}

    def _look(self) -> dict[str, float]:
        memory, disk = psutil.virtual_memory(), psutil.disk_usage(str(self._folder))
        now, before = self._counted(), self._marks
        self._marks = now
        values = {
            "host_memory_percent": float(memory.percent),
            "disk_free_bytes": float(disk.free),
        }
        if (ticks := now["ticks"] - before["ticks"]) > 0:
            values["host_cpu_percent"] = min(100.0, max(0.0, 100 * (now["busy"] - before["busy"]) / ticks))
        if (seconds := now["at"] - before["at"]) > 0:
            for way in ("received", "sent"):
                # a counter that went backwards began anew
                values[f"network_{way}_bytes_per_second"] = max(0.0, (now[way] - before[way]) / seconds)
        return values

    def _counted(self) -> dict[str, float]:
        times, network = psutil.cpu_times(), psutil.net_io_counters()
        idle = times.idle + getattr(times, "iowait", 0.0)
        # Linux counts what guests use within user and nice, too.
        ticks = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
        received, sent = (network.bytes_recv, network.bytes_sent) if network else (0, 0)
        return {"at": self._clock(), "ticks": ticks, "busy": ticks - idle, "received": received, "sent": sent}
