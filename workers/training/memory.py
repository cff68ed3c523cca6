"""How much memory a training takes while it runs, and what its device says of itself; sampled beside the steps."""

from __future__ import annotations

import threading

import psutil
import torch

from workers.training.sensors import Sensors

INTERVAL_SECONDS = 0.5


class MemorySampler:
    """Samples memory in the background: what the whole GPU has in use, or on a CPU this process."""

    def __init__(self, device: torch.device, interval_seconds: float = INTERVAL_SECONDS) -> None:
        self._device = device
        self._interval_seconds = interval_seconds
        self._process = psutil.Process()
        self._stop = threading.Event()
        self.kind = "VRAM" if device.type == "cuda" else "process memory"
        self.total_bytes = self._total()
        self.now_bytes = self._used()
        self.peak_bytes = self.now_bytes
        self._sensors = Sensors(device)
        self._read: dict[str, float] = {}
        self._thread = threading.Thread(target=self._sample, name="memory", daemon=True)
        self._thread.start()

    def values(self) -> dict[str, float]:
        """The metric values of this moment: bytes, and what the sensors said last."""
        values = {"device_memory_bytes": self.now_bytes, "device_memory_peak_bytes": self.peak_bytes}
        if self._device.type == "cuda":
            told = torch.cuda.memory_stats(self._device)  # once: each question would gather all of it again
            for kind in ("allocated", "reserved"):
                values[f"{kind}_memory_bytes"] = told.get(f"{kind}_bytes.all.current", 0)
                values[f"{kind}_memory_peak_bytes"] = told.get(f"{kind}_bytes.all.peak", 0)
        return {name: float(value) for name, value in values.items()} | self._read

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stop.wait(self._interval_seconds):
            self.now_bytes = self._used()
            self.peak_bytes = max(self.peak_bytes, self.now_bytes)
            self._read = self._sensors.read()

    def _used(self) -> int:
        if self._device.type == "cuda":
            free, total = torch.cuda.mem_get_info(self._device)
            return total - free
        return int(self._process.memory_info().rss)

    def _total(self) -> int:
        if self._device.type == "cuda":
            return torch.cuda.mem_get_info(self._device)[1]
        return int(psutil.virtual_memory().total)
