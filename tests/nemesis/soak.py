"""How a process's memory and descriptors went over a run, from the samples in the journal."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from tests.nemesis.journal import Entry

WARM_UP_SECONDS = 60.0
"""A process that has just started still loads code and fills caches."""


def growth(journal: list[Entry]) -> str:
    """A sentence about the web process that lived longest, since kills start new ones."""
    lives: dict[int, list[Entry]] = defaultdict(list)
    for entry in journal:
        if entry.op == "sample":
            lives[entry.more["pid"]].append(entry)
    if not lives:
        return "no sample"
    longest = max(lives.values(), key=lambda life: life[-1].t_mono - life[0].t_mono)
    seconds = longest[-1].t_mono - longest[0].t_mono
    first, last = longest[0].more, longest[-1].more
    said = (
        f"longest life {seconds:.0f} s: {first['rss'] / 1e6:.0f} to {last['rss'] / 1e6:.0f} MB, "
        f"{first['descriptors']} to {last['descriptors']} descriptors"
    )
    percent = slope_percent_an_hour(longest)
    return said if percent is None else f"{said}, {percent:+.1f} % an hour after the first {WARM_UP_SECONDS:.0f} s"


def slope_percent_an_hour(life: list[Entry]) -> float | None:
    """Least squares over the samples after the warm-up; None where there are too few to say."""
    warm = [entry for entry in life if entry.t_mono - life[0].t_mono >= WARM_UP_SECONDS]
    if len(warm) < 10:
        return None
    times = np.array([entry.t_mono for entry in warm]) - warm[0].t_mono
    sizes = np.array([float(entry.more["rss"]) for entry in warm])
    slope = float(np.polyfit(times, sizes, 1)[0])
    return 100 * 3600 * slope / float(sizes.mean())
