"""The columns of the list of jobs: which are shown, which number stands for a job's quality, the order, and the CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db.models import ExpressionWrapper, F, QuerySet, fields
from django.http import QueryDict

from webapp.accounts.templatetags.numbers import words
from webapp.jobs.models import Job, delta_of
from webapp.jobs.templatetags.job_facts import method_title, took

COLUMNS = {
    "state": "State",
    "method": "Method",
    "data": "Base model, dataset",
    "trained": "Trained",
    "value": "Value",
    "memory": "Memory",
    "delta": "Delta",
    "time": "Time",
    "by": "By",
    "remark": "Note",
}
FINAL = ("eval_loss", "eval_accuracy", "eval_f1", "eval_perplexity")
VALUES = {
    "best": "Best score",
    **{name: f"Final {words(name).removeprefix('Eval ').lower()}" for name in FINAL},
    "loss": "Last train loss",
}
"""What may stand in the column of the value."""
TIME = ExpressionWrapper(F("ended_at") - F("started_at"), fields.DurationField())
ORDERS: dict[str, Any] = {"trained": F("trainable_parameters"), "memory": F("peak_memory_bytes"), "time": TIME}


class Told(NamedTuple):
    """A metric's value, and the step it is of, where that is known."""

    name: str
    value: Any
    step: int | None


@dataclass(frozen=True)
class Columns:
    """How the list is looked at; what the address says wrongly is left out."""

    shown: tuple[str, ...] = tuple(COLUMNS)
    value: str = "best"
    sort: str = ""
    """A column, behind a minus the largest first; empty: the newest first."""

    @classmethod
    def of(cls, asked: QueryDict) -> Columns:
        chosen = tuple(name for name in COLUMNS if name in asked.getlist("columns"))
        value, sort = asked.get("value", "best"), asked.get("sort", "")
        known = sort.removeprefix("-") in (*ORDERS, "value")
        return cls(chosen or tuple(COLUMNS), value if value in VALUES else "best", sort if known else "")

    @property
    def value_title(self) -> str:
        return VALUES[self.value]

    def ordered(self, jobs: QuerySet[Job]) -> QuerySet[Job]:
        """Jobs without the number come last, whichever way."""
        name = self.sort.removeprefix("-")
        if not name:
            return jobs
        by = ORDERS.get(name) or self._field()
        down = self.sort.startswith("-")
        return jobs.order_by(by.desc(nulls_last=True) if down else by.asc(nulls_last=True), "-id")

    def _field(self) -> F:
        if self.value == "best":
            return F("best_metric__value")
        return F("last_loss") if self.value == "loss" else F(f"final_metrics__{self.value}")

    def value_of(self, job: Job) -> Told:
        if self.value == "best":
            best = job.best_metric or {}
            return Told(str(best.get("name", "")), best.get("value"), best.get("step"))
        if self.value == "loss":
            return Told("loss", job.last_loss, job.step if job.last_loss is not None else None)
        return Told(self.value, (job.final_metrics or {}).get(self.value), None)

    def next_sort(self, column: str) -> str:
        """What a press on its head asks for: the largest first, then the smallest, then the newest again."""
        return {f"-{column}": column, column: ""}.get(self.sort, f"-{column}")


def as_csv(jobs: Sequence[Job], columns: Columns) -> Iterator[str]:
    """The visible columns with plain numbers; a line each."""
    shown = [CELLS[name] for name in columns.shown]
    yield _line(["id", "name", *(head for heads, _ in shown for head in heads)])
    for job in jobs:
        yield _line([job.pk, job.name, *(cell for _, cells in shown for cell in cells(job, columns))])


CELLS: dict[str, tuple[tuple[str, ...], Callable[[Job, Columns], tuple[Any, ...]]]] = {
    "state": (("state", "reason"), lambda job, _: (job.state, job.reason_sentence)),
    "method": (("method",), lambda job, _: (method_title(job.method),)),
    "data": (("base_model", "dataset"), lambda job, _: (job.base_model.name, str(job.dataset_version))),
    "trained": (
        ("trainable_parameters", "trained_percent"),
        lambda job, _: (job.trainable_parameters, job.trainable_percent),
    ),
    "value": (("metric", "value", "step"), lambda job, columns: columns.value_of(job)),
    "memory": (("peak_memory_bytes",), lambda job, _: (job.peak_memory_bytes,)),
    "delta": (("delta_bytes",), lambda job, _: ((found := delta_of(job)) and found.bytes,)),
    "time": (("seconds",), lambda job, _: (took(job),)),
    "by": (("by",), lambda job, _: (job.created_by.username if job.created_by else None,)),
    "remark": (("note",), lambda job, _: (job.remark,)),
}
"""The heads of a column's cells, and what stands in them."""


def _line(cells: Sequence[Any]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow([_plain(cell) for cell in cells])
    return buffer.getvalue()


def _plain(cell: Any) -> Any:
    """A text is a person's to choose: a spreadsheet must not take it for a formula."""
    if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{cell}"
    return "" if cell is None else cell
