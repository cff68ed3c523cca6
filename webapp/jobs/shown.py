"""What a training showed of itself at its start: trained parameters by kind of module, and the first rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from webapp.jobs.models import Event, Job

ROWS_AT_MOST = 4
RUNS_AT_MOST = 400
KINDS_AT_MOST = 20
LEAST_WIDTH = 4.0


@dataclass(frozen=True)
class Part:
    """Trained parameters in one kind of module."""

    kind: str
    parameters: int
    tensors: int
    width: float
    """Percent of the bar, on a logarithmic scale: the smallest part is seen, too."""


@dataclass(frozen=True)
class Shown:
    """All of it as checked: a worker's report is a claim, so what does not fit is left out."""

    parts: list[Part]
    rows: list[dict[str, Any]]


def shown(job: Job) -> Shown:
    """From the newest plan of the job that tells."""
    plans = Event.objects.filter(job=job, kind="plan").order_by("-number").values_list("body", flat=True)[:5]
    body: dict[str, Any] = next((plan for plan in plans if "trained_modules" in plan or "first_rows" in plan), {})
    return Shown(_parts(body.get("trained_modules")), _rows(body.get("first_rows")))


def _dicts(told: Any) -> list[dict[str, Any]]:
    return [each for each in told if isinstance(each, dict)] if isinstance(told, list) else []


def _parts(told: Any) -> list[Part]:
    counts = [
        (str(each.get("kind", ""))[:40], each["parameters"], each.get("tensors", 0))
        for each in _dicts(told)[:KINDS_AT_MOST]
        if isinstance(each.get("parameters"), int) and each["parameters"] > 0
    ]
    most = max((math.log10(count + 1) for _, count, _ in counts), default=1.0)
    return [
        Part(kind, count, tensors if isinstance(tensors, int) else 0, _width(count, most))
        for kind, count, tensors in counts
    ]


def _width(count: int, most: float) -> float:
    return round(max(LEAST_WIDTH, 100 * math.log10(count + 1) / most), 1)


def _rows(told: Any) -> list[dict[str, Any]]:
    return [
        {
            "runs": [
                {"text": str(run.get("text", "")), "trained": run.get("trained") is True}
                for run in _dicts(row.get("runs"))[:RUNS_AT_MOST]
            ],
            "tokens": row["tokens"] if isinstance(row.get("tokens"), int) else None,
            "cut": row.get("cut") is True,
            "answer": str(row.get("answer", "")),
        }
        for row in _dicts(told)[:ROWS_AT_MOST]
    ]
