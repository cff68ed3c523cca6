"""How fast a job's newest steps were, pauses for evaluations and all, and from that how long it still takes.

The one place that says so: the job's row carries the pace, pages and programs get the range from it, and the newest
metrics event of a batch takes it along to open pages.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

STEPS_LOOKED_AT = 50
STEPS_NEEDED = 20
"""With fewer it is too early to tell a person."""
SLOWEST = 10.0**7
"""Seconds of one step; what a worker says beyond it, or backwards, is left out."""


@dataclass(frozen=True)
class Left:
    """Seconds until the last step."""

    low: float
    likely: float
    high: float
    rough: bool
    """Too few steps were made to say it to a person; good enough to plan a queue with."""


def moved_on(pace: Mapping[str, Any], step: int, time: float) -> dict[str, Any]:
    """The pace after one more step, made at this unix time: `at` is the newest step, `paces` seconds a step."""
    paces, at = list(pace.get("paces", ())), pace.get("at")
    if at and step > at[0] and 0 < (seconds := (time - at[1]) / (step - at[0])) < SLOWEST:
        paces.append(float(f"{seconds:.4g}"))
    return {"at": [step, time], "paces": paces[-(STEPS_LOOKED_AT - 1) :]}


def interrupted(pace: Mapping[str, Any]) -> dict[str, Any]:
    """A new attempt begins: what lies between is no step's time."""
    return {"at": None, "paces": list(pace.get("paces", ()))}


def usual(pace: Mapping[str, Any]) -> float | None:
    """Mean seconds of a step; None before the second one."""
    paces = pace.get("paces")
    return math.fsum(paces) / len(paces) if paces else None


def left(pace: Mapping[str, Any], steps: int) -> Left | None:
    """None where nothing is known. The low end goes by a quick step (lower quartile), the high end by a slow one or by
    the mean with all pauses, whichever is longer."""
    mean = usual(pace)
    if mean is None or steps < 0:
        return None
    quick, slow = np.quantile(pace["paces"], [0.25, 0.75]).tolist()
    low, high = steps * quick, steps * max(slow, mean)
    return Left(low, max(low, steps * mean), high, rough=len(pace["paces"]) < STEPS_NEEDED - 1)
