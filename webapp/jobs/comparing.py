"""Jobs side by side: one row a method and size over its seeds, intervals, what may be compared, and the front.

Unlike is never compared unsaid: which fields must be equal depends on what is compared (score, memory, time).
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from webapp.jobs.models import Job, JobState
from webapp.jobs.studying import size_of
from workers.methods import METHODS

Purpose = Literal["score", "memory", "time"]
MIN_MAX_BELOW = 5
T_95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
"""Student's t for 97.5 % by degrees of freedom from 1; beyond ten the normal distribution's 1.96 is near enough."""
LESS_IS_BETTER = ("loss", "perplexity")


def _of_training(name: str) -> Callable[[Job], Any]:
    return lambda job: job.spec.get("training", {}).get(name)


def _rows_per_step(job: Job) -> Any:
    training = job.spec.get("training", {})
    return training.get("batch_size", 0) * training.get("gradient_accumulation", 1)


def _of_spec(part: str, name: str) -> Callable[[Job], Any]:
    return lambda job: job.spec.get(part, {}).get(name)


FIELDS: dict[str, tuple[Callable[[Job], Any], tuple[Purpose, ...]]] = {
    "base model": (lambda job: job.base_model_id, ("score", "memory", "time")),
    "precision": (lambda job: _precision(job), ("score", "memory", "time")),
    "quantisation": (_of_training("quantize"), ("score", "memory", "time")),
    "dataset version": (_of_spec("dataset", "sha256"), ("score", "time")),
    "metric": (lambda job: metric_name(job), ("score", "time")),
    "longest row": (_of_training("max_length"), ("score", "memory", "time")),
    "rows per optimizer step": (_rows_per_step, ("score", "time")),
    "batch size": (_of_training("batch_size"), ("memory", "time")),
    "gradient checkpointing": (_of_training("gradient_checkpointing"), ("memory", "time")),
    "device": (lambda job: (job.device, job.gpus), ("memory", "time")),
}
"""What must be equal, how it is read off a job, and for which comparison."""


def _precision(job: Job) -> str:
    """`auto` is fp32 on a CPU, and whatever is best on a GPU."""
    asked = str(job.spec.get("training", {}).get("precision", "auto"))
    return asked if asked != "auto" or not job.device else "fp32" if job.device == "cpu" else "auto, on a GPU"


def metric_name(job: Job) -> str:
    """The score that counts for a job: what its best checkpoint was chosen by."""
    return str(job.best_metric["name"]) if job.best_metric else ""


def less_is_better(name: str) -> bool:
    return name.endswith(LESS_IS_BETTER)


@dataclass(frozen=True)
class Difference:
    """One field in which jobs differ, and what that spoils."""

    field: str
    purposes: tuple[Purpose, ...]
    jobs: dict[str, list[str]]
    """Value as text to names of jobs."""


def differences(jobs: Sequence[Job]) -> list[Difference]:
    """In what these jobs differ that must be equal for a fair comparison."""
    found = []
    for name, (read, purposes) in FIELDS.items():
        by_value: defaultdict[str, list[str]] = defaultdict(list)
        for job in jobs:
            if not _unknown(name, job):
                by_value[str(read(job))].append(job.name)
        if len(by_value) > 1:
            found.append(Difference(name, purposes, dict(by_value)))
    return found


def _unknown(name: str, job: Job) -> bool:
    """A device or metric that a job does not have yet is no difference, nor is the precision that follows from it."""
    return (name in ("device", "precision") and not job.device) or (name == "metric" and not job.best_metric)


def key_of(job: Job, purpose: Purpose) -> tuple[Any, ...]:
    """Two jobs may share a panel where these are equal."""
    return tuple(str(read(job)) for read, purposes in FIELDS.values() if purpose in purposes)


@dataclass(frozen=True)
class Spread:
    """A number over repeats."""

    mean: float
    low: float
    high: float
    n: int


def spread(values: Sequence[float]) -> Spread | None:
    """Smallest to largest below five repeats, from five on the 95 % t-interval of the mean."""
    if not values:
        return None
    mean = statistics.fmean(values)
    if len(values) < MIN_MAX_BELOW:
        return Spread(mean, min(values), max(values), len(values))
    free = len(values) - 1
    t = T_95[free - 1] if free <= len(T_95) else 1.96
    half = t * statistics.stdev(values) / len(values) ** 0.5
    return Spread(mean, mean - half, mean + half, len(values))


@dataclass(frozen=True)
class Group:
    """Repeats of one method in one size with the same settings; only the seed differs."""

    method: str
    size: int | None
    jobs: tuple[Job, ...]
    slot: int
    """Of the trace palette, from 1; stays while others come and go."""
    label: str = ""
    """What the jobs have in common, where they are put together by something else (see grouping.py)."""

    @property
    def title(self) -> str:
        if self.label:
            return self.label
        method = METHODS.get(self.method)
        return f"{method.title if method else self.method}{f' {self.size}' if self.size is not None else ''}"

    @property
    def family(self) -> str:
        method = METHODS.get(self.method)
        return method.family if method else ""

    @property
    def finished(self) -> list[Job]:
        return [job for job in self.jobs if job.state == JobState.SUCCEEDED]

    @property
    def scores(self) -> Spread | None:
        return spread([float(job.best_metric["value"]) for job in self.finished if job.best_metric])

    @property
    def metric(self) -> str:
        return next((metric_name(job) for job in self.finished if job.best_metric), "")

    @property
    def trained_percent(self) -> float | None:
        return _mean(job.trainable_percent for job in self.jobs)

    @property
    def memory_bytes(self) -> float | None:
        return _mean(job.peak_memory_bytes for job in self.finished)

    @property
    def artifact_bytes(self) -> float | None:
        sizes = [sum(each.bytes for each in job.artifacts.all() if each.kind == "delta") for job in self.finished]
        return _mean(size or None for size in sizes)

    @property
    def losses(self) -> Spread | None:
        """Eval loss of exactly the deltas that were kept."""
        known = [job.final_metrics.get("eval_loss") for job in self.finished]
        return spread([float(value) for value in known if isinstance(value, (int, float))])

    @property
    def tokens(self) -> float | None:
        return _mean(job.tokens_seen for job in self.finished)

    @property
    def kwh(self) -> float | None:
        """Of the training steps, where the device tells its power."""
        return _mean(job.energy_joules / 3.6e6 if job.energy_joules else None for job in self.finished)

    @property
    def delta_slowdown(self) -> float | None:
        """Of a forward pass with the delta beside the base model, as a multiple of the base model's."""
        return _mean(job.delta_slowdown for job in self.finished)

    @property
    def merged_slowdown(self) -> float | None:
        return _mean(job.merged_slowdown for job in self.finished)

    @property
    def seconds(self) -> float | None:
        return _mean(
            (job.ended_at - job.started_at).total_seconds() if job.started_at and job.ended_at else None
            for job in self.finished
        )


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def groups_of(jobs: Sequence[Job]) -> list[Group]:
    """By method, size and all settings but the seed, in the order in which they were asked for."""
    held: dict[str, list[Job]] = {}
    for job in sorted(jobs, key=lambda job: job.pk):
        held.setdefault(_settings(job), []).append(job)
    return [
        Group(repeats[0].method, size_of(repeats[0]), tuple(repeats), slot)
        for slot, repeats in enumerate(held.values(), start=1)
    ]


UNFELT = ("seed", "sample_prompts")
"""Training settings in which repeats may differ: what is drawn, and what is only looked at."""


def _settings(job: Job) -> str:
    training = {name: value for name, value in job.spec.get("training", {}).items() if name not in UNFELT}
    data = job.spec.get("dataset", {}).get("sha256")
    return repr(
        (job.method, job.base_model_id, data, sorted(job.spec.get("options", {}).items()), sorted(training.items()))
    )


def alike(one: Group, other: Group, purpose: Purpose) -> bool:
    """Whether two groups that have finished may be held against each other."""
    return key_of(one.finished[0], purpose) == key_of(other.finished[0], purpose)


@dataclass(frozen=True)
class Point:
    """A group on a plane of cost and score."""

    group: Group
    x: float
    score: Spread
    on_front: bool = False
    separable: bool = True
    """False: below the front, but its interval reaches it."""
    dominated_by: str = ""


def placed(
    groups: Sequence[Group],
    cost: Callable[[Group], float | None],
    less: bool,
    merit: Callable[[Group], Spread | None] = lambda group: group.scores,
) -> list[Point]:
    """The groups that have both numbers, each told whether it is on the front; cheapest first."""
    raw = [
        Point(group, x, score)
        for group in groups
        if (x := cost(group)) is not None and (score := merit(group)) is not None
    ]
    raw.sort(key=lambda point: (point.x, _worth(point.score.mean, less) * -1))
    points: list[Point] = []
    best: Point | None = None
    for point in raw:
        if best is None or _worth(point.score.mean, less) > _worth(best.score.mean, less):
            best = Point(point.group, point.x, point.score, on_front=True)
            points.append(best)
            continue
        reach = point.score.low if less else point.score.high
        separable = _worth(reach, less) < _worth(best.score.mean, less)
        points.append(Point(point.group, point.x, point.score, False, separable, best.group.title))
    return points


def _worth(value: float, less: bool) -> float:
    return -value if less else value


def facets(groups: Sequence[Group], purpose: Purpose) -> list[list[Group]]:
    """Groups that may share a panel, the largest panel first."""
    held: dict[tuple[Any, ...], list[Group]] = {}
    for group in groups:
        if group.finished:
            held.setdefault(key_of(group.finished[0], purpose), []).append(group)
    return sorted(held.values(), key=len, reverse=True)
