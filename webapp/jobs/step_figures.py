"""Figures of how fast a training goes and where its steps' time is spent."""

from __future__ import annotations

from typing import Any

from webapp.jobs.figures import Axis, Chart, Line
from webapp.jobs.flops import use_of
from webapp.jobs.models import Job

PARTS = (
    ("data", "data", 5),
    ("forward_backward", "forward and backward", 1),
    ("optimizer", "optimizer", 2),
    ("evaluation", "evaluation", 3),
    ("saving", "saving", 4),
)
"""Part of `spent_PART_seconds`, what it is called, slot of the palette."""


def throughput(job: Job) -> Chart:
    """Tokens and samples a second; below, what share of each step was spent waiting for rows."""
    lines = (
        Line("tokens_per_second", "tokens/s", smooth=True),
        Line("samples_per_second", "samples/s", colour=2, smooth=True, dashed=True, axis="y2", unit=""),
        Line("data_wait_share", "waiting for data", colour=5, smooth=True, axis="y3", unit="", number=".1~%"),
    )
    help = "Dips beside evaluations are normal. Below: share of a step spent waiting for rows; much is lost speed."
    axes = (Axis("y2", ".3~g", right=True), Axis("y3", ".0%", below=True))
    look: dict[str, Any] = {"axes": axes, "facts": "throughput", "use": use_of(job)}
    return Chart("throughput", "Throughput", "tok/s", help, lines, ",~d", from_zero=True, **look)


def step_time(job: Job) -> Chart:
    """Bars of a step's mean time by part; left away where the worker does not tell."""
    lines = tuple(Line(f"spent_{part}_seconds", words, colour=slot) for part, words, slot in PARTS)
    help = "Mean seconds of a step by part, with the evaluations and checkpoints before it."
    if job.memory_kind == "VRAM":
        help += " The optimizer's work on a GPU may count as the next forward pass."
    return Chart("step_time", "Step time", "s", help, lines, from_zero=True, bars=True)
