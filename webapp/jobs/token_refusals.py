"""Jobs that would end before their first step, as a token report of the same rows and base model has shown."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import QuerySet

from webapp.basemodels.models import BaseModel
from webapp.datasets.models import DatasetVersion
from webapp.datasets.token_problems import nothing_in_words, refusal_in_words
from webapp.jobs.models import Inspection
from webapp.jobs.refusing import FieldProblem
from webapp.jobs.reported_tokens import TokenReport
from webapp.jobs.token_reports import of_rows

REPORTS_AT_MOST = 5
UNREADABLE = "tokens.rows"
"""What a worker says where a row cannot be read for the task at all."""


def token_refusals(model: BaseModel, version: DatasetVersion, max_length: int) -> Iterator[FieldProblem]:
    """Why no job on these two is queued; nothing where no report says so. Then a worker says it before it trains."""
    ended = of_rows(version).filter(base_model=model)
    ended = ended.filter(state__in=[Inspection.State.ANSWERED, Inspection.State.FAILED])
    newest = ended.first()
    if newest is None:
        return
    if newest.state == Inspection.State.FAILED:
        problem = newest.problem or {}
        if problem.get("code") == UNREADABLE:
            yield FieldProblem("dataset_version", UNREADABLE, problem["message"], problem["hint"])
        return
    for refusal in TokenReport.model_validate(newest.answer).findings["refused"]:
        message, hint = refusal_in_words(refusal, model.name)
        yield FieldProblem("dataset_version", f"dataset.{refusal['code']}", message, hint)
    yield from _nothing_to_learn(ended, model, max_length)


def _nothing_to_learn(ended: QuerySet[Inspection], model: BaseModel, max_length: int) -> Iterator[FieldProblem]:
    """Cut shorter, a row has no more to learn: a report on this length or a longer one says it."""
    answered = ended.filter(state=Inspection.State.ANSWERED, question__max_length__gte=max_length)
    for answer in answered.values_list("answer", flat=True)[:REPORTS_AT_MOST]:
        report = TokenReport.model_validate(answer)
        if report.rows and report.nothing_to_learn == report.rows:
            message, hint = nothing_in_words(report.noted(model.name))
            yield FieldProblem("training.max_length", "dataset.no_trainable_tokens", message, hint)
            return
