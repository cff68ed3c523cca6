"""What the device of a training says of itself: utilisation, power, temperature. Only what is there, never an error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psutil
import torch

try:
    import pynvml
except ImportError:  # a machine without NVIDIA's library
    pynvml = None


class Sensors:
    """Reads one device. On a CPU: this process's share of the threads it may use."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._handle = _handle(device)
        self._process = psutil.Process()
        self._process.cpu_percent()  # the first call only sets the mark from which the next one counts

    def read(self) -> dict[str, float]:
        """Metric values by name: percent, watts, degrees."""
        if self._device.type != "cuda":
            share = self._process.cpu_percent() / torch.get_num_threads()
            return {"device_utilisation_percent": min(100.0, share)}
        told = {name: _if_known(ask) for name, ask in self._questions().items()}
        return {name: value for name, value in told.items() if value is not None}

    def _questions(self) -> dict[str, Callable[[], float]]:
        handle = self._handle
        if handle is None:
            return {}
        return {
            "device_utilisation_percent": lambda: pynvml.nvmlDeviceGetUtilizationRates(handle).gpu,
            "power_watts": lambda: pynvml.nvmlDeviceGetPowerUsage(handle) / 1000,
            "power_limit_watts": lambda: pynvml.nvmlDeviceGetEnforcedPowerLimit(handle) / 1000,
            "temperature_celsius": lambda: pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU),
        }


def _handle(device: torch.device) -> Any:
    """NVML counts all cards, torch only those that are visible: the card's own number is the same in both."""
    if device.type != "cuda" or pynvml is None:
        return None
    try:
        pynvml.nvmlInit()
        return pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
    except pynvml.NVMLError:
        return None


def _if_known(ask: Callable[[], float]) -> float | None:
    try:
        return float(ask())
    except pynvml.NVMLError:  # not every card and not every slice of one tells
        return None
