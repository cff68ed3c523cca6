"""Small facts of jobs and of the new-job form, as templates want them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import template
from django.db.models import Count
from django.template import Context

from webapp.accounts.models import User
from webapp.accounts.templatetags.numbers import exact, learning_rate
from webapp.datasets.models import Dataset, DatasetVersion
from webapp.jobs.forms import OptionField
from webapp.jobs.models import Artifact, Job, Worker, delta_of
from webapp.jobs.queue_options import QueueOptions
from webapp.jobs.shown_tokens import of_draft
from workers.methods import METHODS
from workers.methods.hyperparameters import Training
from workers.methods.options import describe
from workers.protocol import Layer
from workers.protocol import missing_layers as missing_of

register = template.Library()
JOBS_SHOWN = 10
QUEUE_FIELDS = {fact.name for fact in describe(QueueOptions)}
TRAINING_FIELDS = {fact.name for fact in describe(Training)}


@register.filter
def method_title(name: str) -> str:
    """LoRA for lora; a method that is no longer offered keeps its name."""
    return METHODS[name].title if name in METHODS else name


@register.inclusion_tag("jobs/_used_by.html", takes_context=True)
def used_by(context: Context, version: DatasetVersion) -> dict[str, Any]:
    """The newest jobs on this dataset version, as far as the person may see them."""
    jobs = Job.objects.visible_to(context["request"].user).filter(dataset_version=version).order_by("-pk")
    total = jobs.count()
    return {"jobs": jobs.only("name")[:JOBS_SHOWN], "more": max(0, total - JOBS_SHOWN)}


@register.inclusion_tag("jobs/_draft_tokens.html", takes_context=True)
def draft_tokens(context: Context, version: DatasetVersion) -> dict[str, Any]:
    """The rows of a draft with the tokenizer of a base model: what was asked for last, and a form to ask."""
    request = context["request"]
    told = of_draft(request.user, version, request.GET.get("base_model", ""), request.GET.get("max_length", ""))
    return {"version": version, "dataset": version.dataset, "csrf_token": context.get("csrf_token"), **told}


@register.simple_tag
def jobs_by_dataset(datasets: Iterable[Dataset], user: User) -> dict[int, int]:
    """Dataset -> jobs on any of its versions that the person may see; one query for a whole list."""
    jobs = Job.objects.visible_to(user).filter(dataset_version__dataset__in=[each.pk for each in datasets])
    counted = jobs.order_by().values("dataset_version__dataset").annotate(jobs=Count("pk"))
    return dict(counted.values_list("dataset_version__dataset", "jobs"))


@register.filter
def for_dataset(counts: dict[int, int], dataset: Dataset) -> int:
    return counts.get(dataset.pk, 0)


@register.filter
def delta(job: Job) -> Artifact | None:
    """What it left behind, to be taken away."""
    return delta_of(job)


@register.filter
def took(job: Job) -> float | None:
    """Seconds from the first start to the end."""
    return (job.ended_at - job.started_at).total_seconds() if job.started_at and job.ended_at else None


@register.filter
def value_told(job: Job, columns: Any) -> Any:
    """What stands in the list's column of the value; `columns` are those of listed.py."""
    return columns.value_of(job)


@register.filter
def field_anchor(field: str) -> str:
    """The id of the form's field that a problem is about: `training.epochs`, or `epochs` alone."""
    if "." in field:
        return field.replace(".", "-", 1)
    if field in ("base_model", "dataset_version", "method", "name"):
        return field
    if field in QUEUE_FIELDS:
        return f"queue-{field}"
    return f"training-{field}" if field in TRAINING_FIELDS else f"options-{field}"


@register.filter
def own_value(field: OptionField) -> str:
    """What an empty field means, in words: the value that applies then."""
    value: Any = field.own
    if isinstance(value, str):
        return value or "at its turn"
    if value is None:
        return "decided at launch" if field.fact.name == "learning_rate" else "none"
    if field.fact.name == "learning_rate":
        return learning_rate(value)
    return exact(int(value)) if isinstance(value, float) and value.is_integer() else exact(value)


@register.filter
def config_value(value: Any) -> str:
    """A stored setting as it stands in the spec: lists with commas, nothing as a dash."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(str(each) for each in value) if isinstance(value, list | tuple) else str(value)


@register.filter
def memory_used(device: dict[str, Any]) -> int:
    """Bytes in use on a device of a worker's report."""
    return max(0, int(device.get("memory_bytes", 0)) - int(device.get("memory_free_bytes", 0)))


@register.filter
def missing_layers(worker: Worker) -> tuple[Layer, ...]:
    """The walls around a training that this worker's machine does not have."""
    return missing_of(worker.report.get("isolation", {}))
