"""Figures of how a job learns: loss, the task's own metrics on held-out rows, gradient norm and learning rate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from django.urls import reverse

from webapp.jobs.figures import Chart, Line, Reference, ended_without, with_log
from webapp.jobs.models import Job
from workers.methods.hyperparameters import Training
from workers.methods.schedule import CLIP_NORM, factor, warmup_steps

PLANNED_POINTS = 40
PRESS = "Press a point to see its checkpoint."


def charts_for(job: Job) -> list[Chart]:
    """How a job learns, in the order of the page; what it does to its device is in device_figures.py."""
    every = int(job.spec.get("training", {}).get("eval_every") or 0)
    waits = f"Evaluated every {every:,} steps, first of all before training." if every else "No evaluation yet."
    next = f"Evaluated every {every:,} steps; the next comes at {every:,}." if every and not job.ended else ""
    metrics = [replace(chart, absent=_no_eval_rows(job), next=next) for chart in _metrics(job, waits)]
    charts = [_loss(job), *metrics, _gradient_norm(), _learning_rate(job)]
    return ended_without(charts) if job.ended else with_log(charts, job)


def _no_eval_rows(job: Job) -> dict[str, str] | None:
    """Nothing is held out of the dataset version, so nothing is ever evaluated."""
    if job.dataset_version_id is None or job.dataset_version.rows.get("eval", 1):
        return None
    words = f"{job.dataset_version} has no eval split, so nothing is evaluated."
    return {"words": words, "url": f"{reverse('jobs:new')}?clone={job.pk}", "label": "Clone with an eval split"}


def _loss(job: Job) -> Chart:
    train = Line("loss", "train", smooth=True)
    evaluated = Line("eval_loss", "eval", colour=2, dashed=True, markers=True)
    help = "Both should fall. Eval rising while train falls means overfitting: stop earlier or train less."
    words = "" if job.task == "text-classification" else "Perplexity, train and eval"
    return Chart("loss", "Loss", "", help, (train, evaluated), wide=True, exponential=words, gap=True)


def _metrics(job: Job, waits: str) -> list[Chart]:
    """The task's own metrics on the held-out rows."""
    if job.task == "text-classification":
        held_out = job.dataset_version.rows.get("eval", 0) if job.dataset_version_id else 0
        lines = (
            Line("eval_accuracy", "accuracy", colour=7, markers=True, rows=held_out),
            Line("eval_f1", "F1", colour=5, dashed=True, markers=True),
        )
        help = "Held-out rows that are right, and F1 averaged over labels: far below, it misses the rare labels."
        help += f" Whiskers, where they have room: the 95 % interval of {held_out:,} rows. {PRESS}" if held_out else ""
        return [Chart("accuracy", "Accuracy and F1", "%", help, lines, ".3~g", scale=100, waiting=waits)]
    perplexity = (Line("eval_perplexity", "perplexity", colour=7, markers=True),)
    help = f"Exp of the eval loss: among how many tokens the model still wavers. Lower is better. {PRESS}"
    return [Chart("perplexity", "Perplexity", "", help, perplexity, waiting=waits)]


def _gradient_norm() -> Chart:
    help = "Before clipping. Single spikes are harmless; steady growth comes before divergence."
    lines = (Line("grad_norm", "norm", smooth=True),)
    clipped = (Reference(CLIP_NORM, f"clipped above {CLIP_NORM:g}"),)
    above = (CLIP_NORM, "of the steps were clipped")
    return Chart("grad_norm", "Gradient norm", "", help, lines, from_zero=True, references=clipped, limit=above)


def _learning_rate(job: Job) -> Chart:
    help = "Rises during the warm-up, then follows the schedule of the config."
    line = (Line("learning_rate", "rate"),)
    chart = Chart("learning_rate", "Learning rate", "", help, line, ".1e", from_zero=True)
    training = Training.from_json(job.spec.get("training", {}))
    total, rate = job.total_steps, training.learning_rate
    if not total or not rate:
        return chart
    rising = warmup_steps(training, total)
    asked = sorted({*np.linspace(0, total - 1, PLANNED_POINTS).astype(int).tolist(), max(0, rising - 1)})
    planned = tuple((step, rate * factor(training, total, step)) for step in asked)
    return replace(
        chart,
        help=f"{help} Dotted: as planned.",
        planned=(*planned, (total, planned[-1][1])),
        landmarks=((rising, "warm-up ends"),) if rising else (),
    )
