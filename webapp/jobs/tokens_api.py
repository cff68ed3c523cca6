"""Token reports for programs: lengths and loss mask of a dataset version with a base model's tokenizer."""

from __future__ import annotations

from typing import Any

from django.shortcuts import get_object_or_404
from ninja import Router, Schema

from webapp.accounts.auth import Caller
from webapp.basemodels.models import BaseModel
from webapp.datasets.models import DatasetVersion
from webapp.jobs.models import Inspection
from webapp.jobs.reported_tokens import TokenReport
from webapp.jobs.token_reports import ask_for, asked

tokens = Router(tags=["datasets"])


class Wanted(Schema):
    base_model: int
    max_length: int | None = None
    """Where rows are cut; left out, where a job on these two would."""


@tokens.post("{int:version_id}/tokens")
def read_tokens(request: Any, version_id: int, body: Wanted) -> dict[str, Any]:
    """Ask a worker to read the rows with this base model's tokenizer. Asked again, the answer is how far that is.

    `state` is queued, running, failed or answered; answered, `report` says lengths, cuts, rows that the chat template
    refuses, and rows token by token. Of a draft, the rows that its check found good are read; what the report finds
    then stands among the version's `problems`, with fixes for its `choices`.
    """
    caller: Caller = request.auth
    versions = caller.within(DatasetVersion.objects.visible_to(caller.user), "dataset__team")
    version = get_object_or_404(versions.select_related("dataset__team"), pk=version_id)
    model = get_object_or_404(caller.within(BaseModel.objects.visible_to(caller.user), "team"), pk=body.base_model)
    return _answer(ask_for(caller.user, asked(version, model, body.max_length)))


def _answer(inspection: Inspection) -> dict[str, Any]:
    answered = inspection.state == Inspection.State.ANSWERED
    report = TokenReport.model_validate(inspection.answer) if answered else None
    return {
        "state": inspection.state,
        "problem": inspection.problem,
        "report": report.in_brief | report.dict() if report else None,
    }
