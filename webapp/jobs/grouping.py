"""The settings of jobs: in which of them they differ, and jobs put together by one (a method, a seed, any key)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from webapp.jobs.comparing import Group, groups_of
from webapp.jobs.models import Job

USUAL = {"": "Method and size", "method": "Method", "training.seed": "Seed"}
LONGEST = 60


def choices(jobs: Sequence[Job]) -> dict[str, str]:
    """Keys that the jobs may be grouped by, with their words: the usual ones, then settings in which they differ."""
    differing = [key for key, _, differs in config_difference(jobs) if differs and key not in USUAL]
    return USUAL | {key: _words(key) for key in differing}


def grouped(jobs: Sequence[Job], key: str) -> list[Group]:
    """By the value of one of `choices`, in the order of the jobs; the empty one is method and size.

    Jobs on other data or another base model are never put together.
    """
    if not key:
        return groups_of(jobs)
    values = {job.pk: settings_of(job) for job in jobs}
    held: dict[tuple[str, ...], list[Job]] = {}
    for job in sorted(jobs, key=lambda job: job.pk):
        held.setdefault((repr(values[job.pk].get(key)), *_ground(job)), []).append(job)
    several = len({_ground(job) for job in jobs}) > 1
    return [
        Group(same[0].method, None, tuple(same), slot, _label(same[0], key, values[same[0].pk].get(key), several))
        for slot, same in enumerate(held.values(), start=1)
    ]


def by_setting(jobs: Sequence[Job], shown: Sequence[Group]) -> list[Group]:
    """The groups of method and size, each with only those of its jobs that are shown; slots stay."""
    seen = {job.pk for group in shown for job in group.jobs}
    groups = [replace(group, jobs=tuple(job for job in group.jobs if job.pk in seen)) for group in groups_of(jobs)]
    return [group for group in groups if group.jobs]


def _ground(job: Job) -> tuple[str, ...]:
    return str(job.base_model_id), str(job.spec.get("dataset", {}).get("sha256"))


def _label(job: Job, key: str, value: Any, several: bool) -> str:
    place = f", {job.base_model.name}, {job.dataset_version}" if several else ""
    if key == "method":
        return f"{Group(job.method, None, (), 0).title}{place}"
    said = f"without {_words(key)}" if value is None else f"{_words(key)} {str(value)[:LONGEST]}"
    return f"{said[:1].upper()}{said[1:]}{place}"


def _words(key: str) -> str:
    """Of `training.learning_rate`: learning rate."""
    return key.rpartition(".")[2].replace("_", " ")


# ---- Settings ------------------------------------------------------------------------------------


def config_difference(jobs: Sequence[Job]) -> list[tuple[str, list[Any], bool]]:
    """Every setting with its value in each job, differing ones first."""
    flat = [settings_of(job) for job in jobs]
    keys = sorted({key for each in flat for key in each})
    rows = [(key, [each.get(key) for each in flat]) for key in keys]
    told = [(key, values, len({repr(value) for value in values}) > 1) for key, values in rows]
    return sorted(told, key=lambda row: (not row[2], row[0]))


def settings_of(job: Job) -> dict[str, Any]:
    """Every setting by its key, with dots: method, options.rank, training.seed."""
    return _flat({"method": job.method, **{part: job.spec.get(part, {}) for part in ("options", "training")}})


def _flat(nested: dict[str, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        name = f"{before}.{key}" if before else key
        flat |= _flat(value, name) if isinstance(value, dict) else {name: value}
    return flat
