"""A token report as pages show it: its figures, or how far it is."""

from __future__ import annotations

from typing import Any

from webapp.accounts.models import User
from webapp.basemodels.models import BaseModel
from webapp.datasets.models import DatasetVersion
from webapp.datasets.token_problems import token_problems
from webapp.jobs.inspecting import has_worker
from webapp.jobs.models import Inspection
from webapp.jobs.reported_tokens import TokenReport
from webapp.jobs.token_figure import lengths_figure
from webapp.jobs.token_reports import of_rows


def models_for(user: User, version: DatasetVersion) -> list[BaseModel]:
    """Those of the dataset's team and the shared ones that can do its task, as far as the person sees them."""
    visible = BaseModel.objects.visible_to(user).ready()
    teams = {version.dataset.team_id, None} if version.dataset.team_id else None
    return [
        each
        for each in visible.order_by("name", "pk")
        if version.task in each.tasks and (teams is None or each.team_id in teams)
    ]


def shown(inspection: Inspection | None) -> dict[str, Any]:
    """What the page's fragment draws of a question, whether it is answered or not."""
    if inspection is None or inspection.state != Inspection.State.ANSWERED:
        return {"inspection": inspection, "has_worker": inspection is not None and has_worker(inspection)}
    report = TokenReport.model_validate(inspection.answer)
    model = inspection.base_model.name if inspection.base_model else ""
    problems = token_problems(report.noted(model), "", readable=False)
    told = {"inspection": inspection, "report": report, "problems_found": problems, "figure": lengths_figure(report)}
    return told | {"p50": report.at(0.5), "p95": report.at(0.95)}


def of_draft(user: User, version: DatasetVersion, asked_model: str, asked_length: str) -> dict[str, Any]:
    """What a person asked for last about these rows, or for this base model and length; and what there is to choose."""
    models = models_for(user, version)
    asked = of_rows(version).filter(base_model__in=models)
    pair = {"base_model": asked_model, "question__max_length": asked_length}
    if all(value.isdecimal() and len(value) < 10 for value in pair.values()):
        asked = asked.filter(**{name: int(value) for name, value in pair.items()})
    found = asked.select_related("base_model").first() if version.rows_sha256 else None
    chosen = found.base_model if found else next((each for each in models if str(each.pk) == asked_model), None)
    length = found.question["max_length"] if found else asked_length
    return {"models": models, "base_model": chosen or next(iter(models), None), "max_length": length, **shown(found)}
