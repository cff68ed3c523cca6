"""Base models for programs: the catalogue and registering."""

from __future__ import annotations

from typing import Any

from django.http import StreamingHttpResponse
from django.shortcuts import get_object_or_404
from ninja import Header, Router, Schema, Status

from webapp.accounts.auth import Caller
from webapp.accounts.permissions import teams_to_work_in
from webapp.basemodels.downloading import as_zip
from webapp.basemodels.models import BaseModel
from webapp.basemodels.registering import RegistrationRefused, register_folder, register_hub
from webapp.paging import Whole, page

router = Router(tags=["base models"])


def base_model_answer(model: BaseModel) -> dict[str, Any]:
    return {
        "id": model.pk,
        "name": model.name,
        "team": model.team.slug if model.team else None,
        "source": model.source,
        "hub_id": model.hub_id,
        "revision": model.revision,
        "state": model.state,
        "problem": model.problem,
        "progress": model.progress,
        "architecture": model.architecture,
        "parameters": model.parameters,
        "dtype": model.dtype,
        "bytes": model.bytes,
        "tasks": model.tasks,
        "licence": model.licence,
        "created_at": model.created_at,
    }


class Registration(Schema):
    hub_id: str = ""
    revision: str = ""
    folder: str = ""
    name: str = ""


@router.get("")
def list_base_models(request: Any, limit: Whole = 50, cursor: Whole | None = None) -> dict[str, Any]:
    """Base models of your teams, and those that all teams share; newest first."""
    caller: Caller = request.auth
    models = caller.within(BaseModel.objects.visible_to(caller.user))
    return page(models.select_related("team"), base_model_answer, limit, cursor)


@router.post("", response={201: dict[str, Any]})
def register(request: Any, body: Registration, idempotency_key: Header[str | None] = None) -> Any:
    """Register a hub id at a pinned revision, or (site admins) a folder on the site's machine.

    The same `Idempotency-Key` from the same team again is answered with the base model of the first time.
    """
    caller: Caller = request.auth
    key = idempotency_key
    if body.folder:
        return Status(201, base_model_answer(register_folder(caller.user, body.folder, body.name, key)))
    if not body.hub_id:
        raise RegistrationRefused(
            "hub_id", "basemodel.source", "Neither `hub_id` nor `folder` is given.", "Give one of the two."
        )
    team = caller.team or next(iter(teams_to_work_in(caller.user)), None)
    return Status(201, base_model_answer(register_hub(caller.user, team, body.hub_id, body.revision, key)))


@router.get("{int:model_id}")
def get_base_model(request: Any, model_id: int) -> dict[str, Any]:
    """One base model."""
    return base_model_answer(_model(request, model_id))


@router.get("{int:model_id}/download")
def download_base_model(request: Any, model_id: int) -> StreamingHttpResponse:
    """Its folder as a zip: what a delta artifact's card calls `base_model`."""
    return as_zip(_model(request, model_id), request.auth.user)


def _model(request: Any, model_id: int) -> BaseModel:
    caller: Caller = request.auth
    return get_object_or_404(caller.within(BaseModel.objects.visible_to(caller.user)), pk=model_id)
