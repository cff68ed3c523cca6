"""What this machine trains on: CUDA devices as NVML sees them, else the CPU and its memory."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from workers.protocol import Device

BRANDS = frozenset({"nvidia", "geforce", "tesla", "quadro"})

try:
    import pynvml
except ImportError:  # a machine without the `worker` extra
    pynvml = None


def devices(environment: Mapping[str, str] = os.environ) -> tuple[Device, ...]:
    """The GPUs that `CUDA_VISIBLE_DEVICES` leaves, in PCI order, or one CPU device. Never raises."""
    return _cuda(environment.get("CUDA_VISIBLE_DEVICES")) or (cpu(),)


def cpu() -> Device:
    memory = psutil.virtual_memory()
    return Device(
        index=0,
        kind="cpu",
        name=_processor(),
        memory_bytes=memory.total,
        memory_free_bytes=memory.available,
        utilisation_percent=psutil.cpu_percent(),
    )


@cache
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def kind_label(name: str) -> str:
    """A card's kind as people say it: `NVIDIA GeForce RTX 4090` is rtx4090, `NVIDIA H100 80GB HBM3` is h100."""
    words = [word for word in re.split(r"[\s-]+", name.lower()) if word not in BRANDS]
    until = next((place for place, word in enumerate(words, 1) if any(map(str.isdigit, word))), len(words))
    return "".join(words[:until])


def _cuda(visible: str | None) -> tuple[Device, ...]:
    if pynvml is None:
        return ()
    try:
        _open_nvml()
        found = [_seen(visible, index) for index in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError:
        return ()
    return tuple(device for device in found if device is not None)


@cache
def _open_nvml() -> None:
    """Once for the life of the process: opening it anew takes longer than all that is asked of it."""
    pynvml.nvmlInit()


def driver_version() -> str:
    """Of the GPU driver; empty on a machine without one."""
    if pynvml is None:
        return ""
    try:
        _open_nvml()
        return _text(pynvml.nvmlSystemGetDriverVersion())
    except pynvml.NVMLError:
        return ""


def _is_visible(visible: str | None, index: int, handle: Any) -> bool:
    if visible is None:
        return True
    wanted = [each.strip() for each in visible.split(",")]
    return str(index) in wanted or any(
        each and _text(pynvml.nvmlDeviceGetUUID(handle)).startswith(each) for each in wanted
    )


def _seen(visible: str | None, index: int) -> Device | None:
    """None if it is hidden from this worker, or fell off the bus: the others work on."""
    try:
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        return _device(index, handle) if _is_visible(visible, index, handle) else None
    except pynvml.NVMLError:
        return None


def _device(index: int, handle: Any) -> Device:
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    return Device(
        index=index,
        kind="cuda",
        name=_text(pynvml.nvmlDeviceGetName(handle)),
        memory_bytes=memory.total,
        memory_free_bytes=memory.free,
        utilisation_percent=_if_known(lambda: pynvml.nvmlDeviceGetUtilizationRates(handle).gpu),
        power_watts=_if_known(lambda: pynvml.nvmlDeviceGetPowerUsage(handle) / 1000),
        temperature_celsius=_if_known(lambda: pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU)),
    )


def _if_known(ask: Callable[[], float]) -> float | None:
    try:
        return float(ask())
    except pynvml.NVMLError:  # not every card and not every slice of one tells
        return None


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
