"""Gives a claimed job a long history: `python -m benchmarks.pages_filling JOB STEPS`, for benchmarks.pages.

A process of its own, since the benchmark itself needs no Django. Prints one JSON object: the cookie of a signed-in
person, the series and how many queries the job's page makes.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np

from benchmarks.queue_filling import opened  # first: it sets Django up

# isort: split
from webapp.jobs import reporting
from webapp.jobs.columns import Columns, Series
from webapp.jobs.models import LARGE_CHUNK_POINTS, Attempt, Job
from webapp.jobs.recording import keep_columns, take_numbers

GIB = 1024**3
EVAL_EVERY = 100
BEGAN = time.time() - 100_000 * 0.4


def fill(job_id: int, steps: int) -> list[str]:
    """As a training on a GPU would have logged them, step by step; the names of the series."""
    attempt = Attempt.objects.get(job_id=job_id)
    plan = {"kind": "plan", "total_steps": 2 * steps, "device": "H100", "memory_kind": "VRAM"}
    reporting.accept(attempt, 1, [plan | {"device_memory_total_bytes": 24 * GIB, "trainable_parameters": 296_450}])
    first = take_numbers(job_id, steps).last_event - steps + 1
    series = logged(steps)
    step = np.arange(1, steps + 1)
    for start in range(0, steps, LARGE_CHUNK_POINTS):
        part = slice(start, min(start + LARGE_CHUNK_POINTS, steps))
        keep_columns(attempt, _columns(series, step[part], first + start))
    Job.objects.filter(pk=job_id).update(step=steps, last_loss=0.8)
    return sorted(series)


def logged(steps: int) -> dict[str, Series]:
    """Every series that the training loop logs; the evaluated ones have a point every hundred steps."""
    chance, step = np.random.default_rng(7), np.arange(1, steps + 1)
    fall = 0.4 + 2 * np.exp(-step / (steps / 6))

    def around(middle: float, spread: float) -> np.ndarray:
        return chance.normal(middle, spread, steps)

    every = {
        "loss": fall + chance.normal(0, 0.06, steps),
        "grad_norm": np.abs(around(0.55, 0.05)),
        "learning_rate": 2e-4 * np.minimum(1, step / 600) * (1 - step / (2 * steps)),
        "tokens_per_second": around(5100, 60),
        "tokens_seen": step * 2048.0,
        "samples_per_second": around(40, 0.5),
        "step_seconds": around(0.4, 0.01),
        "data_wait_share": np.abs(around(0.01, 0.002)),
        "spent_data_seconds": np.abs(around(0.004, 0.0008)),
        "spent_forward_backward_seconds": around(0.36, 0.009),
        "spent_optimizer_seconds": around(0.036, 0.001),
        "spent_evaluation_seconds": np.where(step % EVAL_EVERY == 1, 9.0, 0.0),
        "spent_saving_seconds": np.where(step % 1000 == 1, 2.5, 0.0),
        "device_memory_bytes": around(17.9, 0.01) * GIB,
        "device_memory_peak_bytes": np.maximum.accumulate(around(17.9, 0.01)) * GIB,
        "reserved_memory_bytes": around(17.1, 0.01) * GIB,
        "allocated_memory_bytes": around(12.2, 0.2) * GIB,
        "device_utilisation_percent": np.minimum(100, around(93, 3)),
        "power_watts": around(390, 8),
        "power_limit_watts": np.full(steps, 450.0),
        "temperature_celsius": around(71, 0.6),
        "host_cpu_percent": around(31, 4),
        "host_memory_percent": around(44, 0.5),
        "disk_free_bytes": (900 - step / steps * 80) * GIB,
        "network_received_bytes_per_second": np.abs(around(2e5, 5e4)),
        "network_sent_bytes_per_second": np.abs(around(4e5, 5e4)),
    }
    found = {name: Series(step - 1, values.astype(np.float32)) for name, values in every.items()}
    rows = np.arange(EVAL_EVERY - 1, steps, EVAL_EVERY)
    scores = {"eval_loss": fall[rows] + 0.08, "eval_accuracy": 0.93 - fall[rows] / 4, "eval_f1": 0.92 - fall[rows] / 4}
    return found | {name: Series(rows, values.astype(np.float32)) for name, values in scores.items()}


def _columns(series: dict[str, Series], step: np.ndarray, first_event: int) -> Columns:
    within = {}
    for name, each in series.items():
        held = (each.rows >= step[0] - 1) & (each.rows < step[-1])
        if held.any():
            within[name] = Series(each.rows[held] - (step[0] - 1), each.values[held])
    event = np.arange(first_event, first_event + len(step))
    return Columns(step, event, BEGAN + step * 0.4, step / 333, within)


if __name__ == "__main__":
    job, names = int(sys.argv[1]), fill(int(sys.argv[1]), int(sys.argv[2]))
    sys.stdout.write(json.dumps(opened(f"/jobs/{job}/") | {"series": names}))
