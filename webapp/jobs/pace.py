"""When a training is about to end, as a range: by how long its newest steps took, pauses for evaluations and all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from webapp.jobs.columns import Columns
from webapp.jobs.models import Job

STEPS_LOOKED_AT = 50
STEPS_NEEDED = 20


@dataclass(frozen=True)
class Left:
    """Seconds until the last step."""

    low: float
    high: float


def time_left(job: Job, columns: Columns) -> Left | None:
    """None where nothing moves, or too few steps were made to say.

    The low end goes by a quick step (lower quartile), the high end by a slow one or by the mean with all pauses,
    whichever is longer. header.js goes on in the same way.
    """
    steps = columns.series.get("loss")
    if not job.at_work or not job.total_steps or steps is None:
        return None
    rows = steps.rows[-STEPS_LOOKED_AT:]
    made, seconds = np.diff(columns.step[rows]), np.diff(columns.time[rows])
    paces = (seconds / np.maximum(made, 1))[(made > 0) & (seconds > 0)]
    if len(paces) < STEPS_NEEDED - 1:
        return None
    quick, slow = np.quantile(paces, [0.25, 0.75]).tolist()
    left = job.total_steps - job.step
    return Left(left * quick, left * max(slow, float(paces.mean())))
