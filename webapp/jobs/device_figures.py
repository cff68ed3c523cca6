"""Figures of what a training does to its device and machine: memory, utilisation, power, temperature, disk, network."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from webapp.jobs.figures import GIB, Chart, Line, Reference, ended_without, with_log
from webapp.jobs.models import Job
from webapp.jobs.step_figures import step_time, throughput

MIB = 1 / 1024**2
HOST_WAITS = "Told by the worker about once a second, once the training has begun."


def system_charts(job: Job) -> list[Chart]:
    """All of the System tab, in its order."""
    charts = [memory(job), utilisation(job), *_sensors(job), step_time(job), _host(), _disk(), _network()]
    return ended_without(charts) if job.ended else with_log(charts, job)


def pace_charts(job: Job) -> list[Chart]:
    """How fast it goes and what it takes, for the overview: of a GPU's sensors, or of the machine of a CPU job."""
    beside = _sensors(job) if job.memory_kind == "VRAM" else [_host(), _disk()]
    charts = [throughput(job), memory(job), utilisation(job), *beside, step_time(job)]
    return ended_without(charts) if job.ended else charts


def memory(job: Job) -> Chart:
    """VRAM on a GPU, the process's memory on a CPU; the label says which."""
    kind = job.memory_kind or "memory"
    title = kind if kind.isupper() else kind.capitalize()
    total = job.device_memory_total_bytes
    on_gpu = kind == "VRAM" and total
    help = "Used by the training. Flat is normal; a steady rise is a leak." + (
        " The dashed line is all the device has." if on_gpu else ""
    )
    device = Line("device_memory_bytes", "in use on the device" if on_gpu else kind)
    parts = (Line("reserved_memory_bytes", "reserved", colour=3), Line("allocated_memory_bytes", "allocated", colour=5))
    references = (Reference(round(total * GIB, 2)),) if on_gpu and total else ()
    lines = (device, *parts) if on_gpu else (device,)
    told = job.estimated.get("memory") if isinstance(job.estimated, dict) else None
    band = (told[0] * GIB, told[1] * GIB) if told else None
    if band:
        help += " The shaded band is what was estimated before the start."
    look: dict[str, Any] = {
        "references": references,
        "band": band,
        "facts": "memory",
        "also": ("device_memory_peak_bytes",),
    }
    return Chart("memory", title, "GiB", help, lines, scale=GIB, from_zero=True, **look)


def utilisation(job: Job) -> Chart:
    """Of the GPU, or on a CPU of the threads the training may use."""
    on_gpu = job.memory_kind == "VRAM"
    title = "GPU utilisation" if on_gpu else "CPU utilisation"
    help = (
        "Share of time in which any kernel was active; a GPU at 100 % may still be used badly."
        if on_gpu
        else "Share of the threads that this training may use."
    )
    line = Line("device_utilisation_percent", "in use", smooth=True)
    return Chart("utilisation", title, "%", help, (line,), from_zero=True)


def _sensors(job: Job) -> list[Chart]:
    limit = Line("power_limit_watts", "limit", colour=4, dashed=True)
    power = Chart(
        "power",
        "Power",
        "W",
        "At the dashed limit the card slows itself down.",
        (Line("power_watts", "power", smooth=True), limit),
        from_zero=True,
    )
    warm = "Above about 85 degrees most cards slow down."
    heat = Chart("temperature", "Temperature", "°C", warm, (Line("temperature_celsius", "temperature"),))
    if job.memory_kind in ("", "VRAM"):
        return [power, heat]
    why = {"words": "No sensor: a CPU says nothing of its {} to a training.", "url": "", "label": ""}
    return [
        replace(power, absent={**why, "words": why["words"].format("power")}),
        replace(heat, absent={**why, "words": why["words"].format("temperature")}),
    ]


def _host() -> Chart:
    help = "Of the whole machine, with all that runs on it besides this training."
    lines = (Line("host_cpu_percent", "processor", smooth=True), Line("host_memory_percent", "memory", colour=3))
    return Chart("host", "Host", "%", help, lines, from_zero=True, waiting=HOST_WAITS)


def _disk() -> Chart:
    help = "Where the worker keeps base models, datasets and checkpoints."
    line = Line("disk_free_bytes", "free")
    look: dict[str, Any] = {"scale": GIB, "from_zero": True, "facts": "disk", "waiting": HOST_WAITS}
    return Chart("disk", "Disk free", "GiB", help, (line,), **look)


def _network() -> Chart:
    help = "Of the whole machine; a training's own share is its events and checkpoints."
    received = Line("network_received_bytes_per_second", "received", smooth=True)
    sent = Line("network_sent_bytes_per_second", "sent", colour=2, smooth=True, dashed=True)
    look: dict[str, Any] = {"scale": MIB, "from_zero": True, "waiting": HOST_WAITS}
    return Chart("network", "Network", "MiB/s", help, (received, sent), **look)
