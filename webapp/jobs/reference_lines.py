"""What a job's evaluations are held against: the base model as it was, and full fine-tuning on the same data."""

from __future__ import annotations

import math
from dataclasses import replace

from webapp.jobs.figures import Chart, Reference
from webapp.jobs.models import Job, JobState, MetricChunk


def held_against(job: Job, charts: list[Chart]) -> list[Chart]:
    """Charts of evaluations with their reference lines, the others as they are."""
    return [
        replace(chart, references=references_for(job, chart.lines[0].series, chart.scale))
        if chart.lines[0].series.startswith("eval_")
        else chart
        for chart in charts
    ]


def references_for(job: Job, series: str, scale: float) -> tuple[Reference, ...]:
    """Those that are known, in the chart's unit."""
    known = ((before_training(job, series), "base model"), (full_fine_tuning(job, series), "full fine-tuning"))
    scaled = ((float(value) * scale, words) for value, words in known if value is not None)
    return tuple(Reference(value, words) for value, words in scaled if math.isfinite(value))


def before_training(job: Job, series: str) -> float | None:
    """The evaluation at step 0, before anything was learnt."""
    first = MetricChunk.objects.filter(job=job).order_by("first_event").first()
    if first is None:
        return None
    columns = first.columns
    if series not in columns.series:
        return None
    found = columns.series[series]
    steps = columns.step[found.rows]
    if not len(steps) or steps[0] != 0:
        return None
    return _finite(float(found.values[0]))


def full_fine_tuning(job: Job, series: str) -> float | None:
    """What the team's newest full fine-tuning of the same base model on the same dataset version came to."""
    if job.method == "full":
        return None
    same = Job.objects.filter(team=job.team_id, base_model=job.base_model_id, dataset_version=job.dataset_version_id)
    done = same.filter(method="full", state=JobState.SUCCEEDED).order_by("-ended_at").first()
    value = (done.final_metrics or {}).get(series) if done else None
    return _finite(value) if isinstance(value, (int, float)) else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
