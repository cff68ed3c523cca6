"""The job that a person holds others against: pinned for the session, or named in the address; and the differences."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest

from webapp.accounts.context import signed_in
from webapp.accounts.templatetags.numbers import metric, percent, signed
from webapp.jobs.comparing import differences
from webapp.jobs.models import Job, delta_of

PINNED = "baseline"
"""Key of the session."""
AGAINST = "against"
"""The address wins over what is pinned, so a link shows the same to a colleague."""
DIGITS = 16
"""An id has fewer; Python turns no text of thousands into a number."""


@dataclass(frozen=True)
class Baseline:
    """The other job, what makes the two unlike, and each number's difference in words, by the name of its card."""

    job: Job
    unlike: list[str]
    than: dict[str, str]


def pinned_id(request: HttpRequest) -> int | None:
    pinned = request.session.get(PINNED)
    return pinned if isinstance(pinned, int) else None


def baseline_of(request: HttpRequest, job: Job) -> Baseline | None:
    """None where nothing is pinned or named, it is this very job, or nothing the person may see."""
    asked = request.GET.get(AGAINST)
    number = pinned_id(request) if asked is None else _id_in(asked)
    if number is None or number == job.pk:
        return None
    seen = Job.objects.visible_to(signed_in(request)).select_related("base_model").prefetch_related("artifacts")
    other = seen.filter(pk=number).first()
    return Baseline(other, [each.field for each in differences([job, other])], _than(job, other)) if other else None


def _id_in(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < DIGITS else None


def _than(job: Job, other: Job) -> dict[str, str]:
    own, others = delta_of(job), delta_of(other)
    told = {
        "trained": _relative(job.trainable_parameters, other.trainable_parameters),
        "memory": _relative(job.peak_memory_bytes, other.peak_memory_bytes),
        "throughput": _relative(job.tokens_per_second, other.tokens_per_second),
        "delta": _relative(own.bytes if own else None, others.bytes if others else None),
        "best": _scored(job, other),
    }
    if job.ended and job.last_loss is not None and other.last_loss is not None:  # else it is of another step
        told["loss"] = signed(job.last_loss - other.last_loss)
    return {name: words for name, words in told.items() if words}


def _scored(job: Job, other: Job) -> str:
    """Only of the same metric; shares in points of a hundred."""
    mine, theirs = job.best_metric, other.best_metric
    if not mine or not theirs or mine["name"] != theirs["name"]:
        return ""
    difference = mine["value"] - theirs["value"]
    if metric(theirs["value"], theirs["name"]).endswith("%"):
        return f"{signed(100 * difference)} points"
    return signed(difference)


def _relative(mine: float | None, theirs: float | None) -> str:
    """In percent; from twice or half on as a factor."""
    if not mine or not theirs:
        return ""
    ratio = mine / theirs
    if ratio >= 2:
        return f"{ratio:,.3g} times"
    if ratio <= 0.5:
        return f"1/{theirs / mine:,.3g}"
    return f"{'−' if ratio < 1 else '+'}{percent(100 * abs(ratio - 1))}" if ratio != 1 else "the same"
