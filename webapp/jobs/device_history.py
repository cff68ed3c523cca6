"""What workers' devices did in the last hour: taken down with their hellos, drawn as small lines on a page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from webapp.jobs.models import Worker, WorkerSample

SAMPLE_SECONDS = 10.0
KEPT = timedelta(hours=1)
GAP = timedelta(seconds=3 * SAMPLE_SECONDS)
"""A longer silence is a gap in the line: the worker was away."""
KEPT_FIELDS = ("index", "memory_bytes", "memory_free_bytes", "utilisation_percent", "power_watts")
WIDTH, HEIGHT = 160, 28


@dataclass(frozen=True)
class Hour:
    """One device's last hour, each quantity as the `d` of an SVG path; empty where nothing is known."""

    load: str
    memory: str
    peak_memory_bytes: int


def take_down(worker: Worker, now: datetime | None = None) -> None:
    """Keep what the newest report says of the devices, at most every ten seconds and for an hour."""
    now = now or timezone.now()
    newest = worker.samples.order_by("-at").values_list("at", flat=True).first()
    if newest is not None and now - newest < timedelta(seconds=SAMPLE_SECONDS):
        return
    told = [{name: device.get(name) for name in KEPT_FIELDS} for device in worker.report.get("devices", [])]
    WorkerSample.objects.create(worker=worker, at=now, devices=told)
    WorkerSample.objects.filter(worker=worker, at__lt=now - KEPT).delete()


def last_hours(workers: Iterable[Worker], now: datetime | None = None) -> dict[int, dict[int, Hour]]:
    """For each worker and device index its last hour; one query for all."""
    now = now or timezone.now()
    samples = WorkerSample.objects.filter(worker__in=list(workers), at__gt=now - KEPT).order_by("at")
    by_device: defaultdict[int, defaultdict[int, list[tuple[datetime, dict[str, Any]]]]]
    by_device = defaultdict(lambda: defaultdict(list))
    for sample in samples:
        for device in sample.devices:
            by_device[sample.worker_id][device["index"]].append((sample.at, device))
    return {
        worker: {index: _hour(points, now) for index, points in devices.items()}
        for worker, devices in by_device.items()
    }


def _hour(points: list[tuple[datetime, dict[str, Any]]], now: datetime) -> Hour:
    used = [device["memory_bytes"] - device["memory_free_bytes"] for _, device in points]
    shares = [part / (device["memory_bytes"] or 1) for part, (_, device) in zip(used, points, strict=True)]
    loads = [device["utilisation_percent"] for _, device in points]
    moments = [at for at, _ in points]
    load = [None if value is None else value / 100 for value in loads]
    return Hour(_path(moments, load, now), _path(moments, shares, now), max(used))


def _path(moments: list[datetime], shares: Iterable[float | None], now: datetime) -> str:
    """A line through the shares (0 to 1, up is more), broken where a value is unknown or the worker was away."""
    parts: list[str] = []
    last: datetime | None = None
    for at, share in zip(moments, shares, strict=True):
        if share is None:
            last = None
            continue
        x = WIDTH * (1 - (now - at) / KEPT)
        y = 1 + (HEIGHT - 2) * (1 - min(1.0, max(0.0, share)))
        parts.append(f"{'L' if last and at - last <= GAP else 'M'}{x:.1f} {y:.1f}")
        last = at
    return "".join(parts)
