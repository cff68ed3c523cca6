"""The failure doctor: from how a job ended and its numbers to one suggested fix, and the log with the error in view.

It changes nothing. A fix is a link: to the new-job form filled with the ended job's settings and the change, or to the
place where the cause lies.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from django.http import QueryDict
from django.urls import reverse

from webapp.accounts.templatetags.numbers import bytes_size, duration, exact, learning_rate, loss, words
from webapp.jobs.models import Job, JobState

LOWER_RATE = 3.0
"""A diverged training is suggested a learning rate that many times lower."""
SHORTEST_ROW = 32
ERROR_LINE = re.compile(
    r"^\s*(?:[\w.]+\.)?\w*(?:Error|Exception|Exit|Interrupt)\b|out of memory|Killed|Fatal Python", re.I
)
LINES_BEFORE, LINES_AFTER = 10, 4


@dataclass(frozen=True)
class Fix:
    """One suggested way out: a link with its label."""

    label: str
    url: str


@dataclass(frozen=True)
class Line:
    text: str
    error: bool = False


@dataclass(frozen=True)
class Change:
    """A clone with some settings changed; `name` stands in the address, so the form knows it."""

    name: str
    label: str
    training: dict[str, Any] = field(default_factory=dict)


def cause_of(job: Job) -> str:
    """The reason code to go by: of a job that is given up, what broke its last attempt off."""
    last = job.reason_detail.get("last_reason") if job.reason_code == "crashed_worker" else None
    return str(last or job.reason_code)


def fix_for(job: Job) -> Fix | None:
    """The one fix suggested for a failed job; None where trying again is all there is, as with a lost checkpoint."""
    change = change_for(job)
    if change is not None:
        query = urlencode({"clone": job.pk, "fix": change.name})
        return Fix(f"Clone with {change.label}", f"{reverse('jobs:new')}?{query}")
    return _place_for(job)


def change_for(job: Job) -> Change | None:
    """The settings that would have kept this job from ending as it did."""
    if job.state != JobState.FAILED:
        return None
    training = job.spec["training"]
    match cause_of(job):
        case "gpu_oom" | "host_oom":
            return _less_memory(training, job.gpus)
        case "diverged" if rate := training.get("learning_rate"):
            lower = float(f"{rate / LOWER_RATE:.1e}")
            return Change("lower_rate", f"learning rate {learning_rate(lower)}", {"learning_rate": lower})
        case "time_limit" if job.step:
            return Change("fewer_steps", f"{job.step:,} steps", {"max_steps": job.step})
    return None


def _less_memory(training: dict[str, Any], gpus: int) -> Change | None:
    """Half the rows at a time and twice the passes: the same training. Then recomputed activations, then short rows."""
    batch, passes = training["batch_size"], training["gradient_accumulation"]
    if batch % 2 == 0 and (batch // 2) % gpus == 0:
        halved = {"batch_size": batch // 2, "gradient_accumulation": passes * 2}
        return Change("half_batch", f"batch size {batch // 2} × accumulation {passes * 2}", halved)
    if not training["gradient_checkpointing"]:
        return Change("recompute", "gradient checkpointing", {"gradient_checkpointing": True})
    longest = training.get("max_length")
    if longest and longest // 2 >= SHORTEST_ROW:
        return Change("short_rows", f"rows of at most {longest // 2:,} tokens", {"max_length": longest // 2})
    return None


def _place_for(job: Job) -> Fix | None:
    """Where the cause lies, if it is not in the settings."""
    if job.state != JobState.FAILED:
        return None
    match cause_of(job):
        case "no_trainable_tokens" | "bad_data":
            return Fix("Look at the dataset and its mapping", job.dataset_version.get_absolute_url())
        case "unsafe_file":
            return Fix("Look at the base model", job.base_model.get_absolute_url())
        case "bad_config":
            return Fix("Clone and change the setting", f"{reverse('jobs:new')}?{urlencode({'clone': job.pk})}")
        case "trainer_error" | "no_output" | "time_limit" | "stalled" | "gpu_oom" | "host_oom" | "diverged":
            return Fix("Clone and change settings", f"{reverse('jobs:new')}?{urlencode({'clone': job.pk})}")
        case "worker_lost" | "trainer_killed" | "disk_full" | "storage_unreachable" | "crashed_worker":
            return Fix("Look at the workers", reverse("jobs:workers"))
    return None


# ---- Numbers -------------------------------------------------------------------------------------


def numbers_of(job: Job) -> list[tuple[str, str]]:
    """What the attempt measured at its end, with units, for people."""
    told = ((name, value) for name, value in job.reason_detail.items() if not isinstance(value, dict | list))
    return [(words(name.removesuffix("_bytes").removesuffix("_seconds")), _shown(name, value)) for name, value in told]


def _shown(name: str, value: Any) -> str:
    if name.endswith("_bytes"):
        return bytes_size(value)
    if name.endswith("_seconds"):
        return duration(value)
    if name == "learning_rate":
        return learning_rate(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return loss(value)
    return exact(value) if isinstance(value, int) else str(value)


# ---- The log -------------------------------------------------------------------------------------


def names_error(line: Mapping[str, Any]) -> bool:
    """Whether this line of a log, as an event has it, is where something went wrong."""
    return line.get("level") == "error" or ERROR_LINE.search(str(line.get("text", ""))) is not None


def error_in_view(lines: list[str]) -> list[Line]:
    """The part of the log around the last line that names an error; without one, its end."""
    found = [place for place, text in enumerate(lines) if ERROR_LINE.search(text)]
    at = found[-1] if found else len(lines) - 1
    first = max(0, at - LINES_BEFORE)
    shown = lines[first : at + LINES_AFTER + 1]
    return [Line(text, bool(found) and first + place == at) for place, text in enumerate(shown)]


# ---- Clones --------------------------------------------------------------------------------------


def clone_of(job: Job, fix: str = "") -> QueryDict:
    """The new-job form as this job's settings fill it; `fix` names the suggested change to carry in."""
    change = change_for(job)
    training = job.spec["training"] | (change.training if change and change.name == fix else {})
    data = QueryDict(mutable=True)
    choices = {"base_model": job.base_model_id, "dataset_version": job.dataset_version_id, "method": job.method}
    data.update({name: str(value) for name, value in choices.items()})
    for group, values in (("options", job.spec["options"]), ("training", training)):
        for name, value in values.items():
            _fill(data, f"{group}.{name}", value)
    return data


def _fill(data: QueryDict, name: str, value: Any) -> None:
    """As a browser would send the field."""
    if isinstance(value, bool):
        data[f"{name}.shown"] = "1"
        if value:
            data[name] = "on"
    elif isinstance(value, list | tuple):
        data[f"{name}.shown"] = "1"
        data.setlist(name, [str(each) for each in value])
    elif value is not None:
        data[name] = str(value)
