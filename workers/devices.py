"""What this machine trains on: CUDA devices as NVML sees them, else the CPU and its memory."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil

from workers.protocol import Device

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


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def visible_to_slot(here: tuple[Device, ...], slot: int) -> Device:
    """The device of a slot; slots beyond the number of devices share."""
    return here[slot % len(here)]


def _cuda(visible: str | None) -> tuple[Device, ...]:
    if pynvml is None:
        return ()
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return ()
    try:
        found = range(pynvml.nvmlDeviceGetCount())
        handles = [(index, pynvml.nvmlDeviceGetHandleByIndex(index)) for index in found]
        return tuple(_device(index, handle) for index, handle in handles if _is_visible(visible, index, handle))
    except pynvml.NVMLError:
        return ()
    finally:
        pynvml.nvmlShutdown()


def _is_visible(visible: str | None, index: int, handle: Any) -> bool:
    if visible is None:
        return True
    wanted = [each.strip() for each in visible.split(",")]
    return str(index) in wanted or any(
        each and _text(pynvml.nvmlDeviceGetUUID(handle)).startswith(each) for each in wanted
    )


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
