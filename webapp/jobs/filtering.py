"""The filters of the list of jobs: an allow-list of keys, each value checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import Q, QuerySet

from webapp.jobs.models import Job, JobState
from webapp.jobs.refusing import FieldProblem, LaunchRefused

LOOKUPS = {"team": "team__slug", "person": "created_by__username", "method": "method", "pool": "pool"}
FILTERS = ("state", *LOOKUPS, "q")
PAGING = ("limit", "cursor")
WORDS_AT_MOST = 8


def filtered(jobs: QuerySet[Job], asked: Mapping[str, Any]) -> QuerySet[Job]:
    """Jobs for which all filters hold. Raises LaunchRefused for a key or state that is none."""
    problems = [_unknown(key) for key in asked if key not in (*FILTERS, *PAGING)]
    states = [state for state in str(asked.get("state", "")).split(",") if state]
    problems += [_no_state(state) for state in states if state not in JobState.values]
    if problems:
        raise LaunchRefused(problems)
    if states:
        jobs = jobs.filter(state__in=states)
    for key, lookup in LOOKUPS.items():
        if value := str(asked.get(key, "")):
            jobs = jobs.filter(**{lookup: value})
    return searched(jobs, str(asked.get("q", "")))


def searched(jobs: QuerySet[Job], text: str) -> QuerySet[Job]:
    """Jobs in whose name, base model or dataset every word stands."""
    for word in text.split()[:WORDS_AT_MOST]:
        in_data = Q(dataset_version__dataset__name__icontains=word)
        jobs = jobs.filter(Q(name__icontains=word) | Q(base_model__name__icontains=word) | in_data)
    return jobs


def _unknown(key: str) -> FieldProblem:
    message = f"Jobs cannot be filtered by `{key[:40]}`."
    return FieldProblem(key[:40], "job.filter", message, f"Use {', '.join((*FILTERS, *PAGING))}.")


def _no_state(state: str) -> FieldProblem:
    message = f"`{state[:40]}` is not a state of a job."
    return FieldProblem("state", "job.filter", message, f"Use some of: {', '.join(JobState.values)}; with commas.")
