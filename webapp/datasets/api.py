"""Datasets for programs: upload, look, read rows."""

from __future__ import annotations

import json
from typing import Any

from django.shortcuts import get_object_or_404
from ninja import File, Form, Header, Router, Status
from ninja.files import UploadedFile

from webapp.accounts.auth import Caller
from webapp.accounts.permissions import teams_to_work_in
from webapp.datasets.browsing import rows_page
from webapp.datasets.models import Dataset, DatasetVersion, VersionState
from webapp.datasets.uploading import UploadRefused, new_version, upload
from webapp.json_body import require_storable
from webapp.paging import LIMIT_AT_MOST, Whole, page

datasets = Router(tags=["datasets"])
dataset_versions = Router(tags=["datasets"])


def dataset_answer(dataset: Dataset) -> dict[str, Any]:
    newest = dataset.newest
    return {
        "id": dataset.pk,
        "name": dataset.name,
        "team": dataset.team.slug if dataset.team else None,
        "licence": dataset.licence,
        "created_at": dataset.created_at,
        "version": {"id": newest.pk, "number": newest.number, "state": newest.state} if newest else None,
    }


def version_answer(version: DatasetVersion) -> dict[str, Any]:
    return {
        "id": version.pk,
        "dataset": version.dataset_id,
        "name": version.dataset.name,
        "number": version.number,
        "state": version.state,
        "format": version.format,
        "task": version.task,
        "mapping": version.mapping,
        "columns": version.columns,
        "labels": version.labels,
        "rows": version.rows,
        "split": version.split,
        "bytes": version.bytes,
        "sha256": version.sha256,
        "problems": version.problems,
        "problems_total": version.problems_total,
        "token_stats": None,
        "created_at": version.created_at,
    }


def _asked(task: str, mapping: str, split: str) -> dict[str, Any]:
    return {"task": task, "mapping": _object("mapping", mapping), "split": _object("split", split)}


def _object(name: str, text: str) -> dict[str, Any] | None:
    """A form field that holds a JSON object."""
    if not text:
        return None
    try:
        value = json.loads(text)
        require_storable(value)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        example = (
            '{"text": "review", "label": "stars"}' if name == "mapping" else '{"kind": "fraction", "fraction": 0.1}'
        )
        raise UploadRefused(f"dataset.{name}", f"`{name}` is not a JSON object.", f"Send something like {example}.")
    return value


@datasets.get("")
def list_datasets(request: Any, limit: Whole = 50, cursor: Whole | None = None) -> dict[str, Any]:
    """Datasets of your teams, and those that all teams share; newest first."""
    caller: Caller = request.auth
    return page(caller.within(Dataset.objects.visible_to(caller.user).for_list()), dataset_answer, limit, cursor)


@datasets.post("", response={201: dict[str, Any]})
def create_dataset(
    request: Any,
    file: File[UploadedFile],
    name: Form[str] = "",
    task: Form[str] = "",
    mapping: Form[str] = "",
    split: Form[str] = "",
    idempotency_key: Header[str | None] = None,
) -> Any:
    """Upload a JSONL or CSV file as the first version of a new dataset.

    The same `Idempotency-Key` from the same team again is answered with the dataset that was made the first time.
    """
    caller: Caller = request.auth
    team = caller.team or next(iter(teams_to_work_in(caller.user)), None)
    if team is None:
        raise UploadRefused("team", "You are in no team in which you may make things.", "Ask a maintainer.", 403)
    key = idempotency_key
    version = upload(caller.user, team, name, file, _asked(task, mapping, split), key)
    answer = {"id": version.pk, "number": version.number, "state": version.state}
    return Status(201, {"id": version.dataset_id, "name": version.dataset.name, "version": answer})


@datasets.get("{dataset_id}")
def get_dataset(request: Any, dataset_id: int) -> dict[str, Any]:
    """One dataset with all its versions."""
    dataset = _dataset(request, dataset_id)
    return dataset_answer(dataset) | {"versions": [version_answer(version) for version in dataset.versions.all()]}


@datasets.post("{dataset_id}/versions", response={201: dict[str, Any]})
def create_version(
    request: Any,
    dataset_id: int,
    file: File[UploadedFile],
    task: Form[str] = "",
    mapping: Form[str] = "",
    split: Form[str] = "",
) -> Any:
    """Upload a further version."""
    dataset = _dataset(request, dataset_id)
    version = new_version(request.auth.user, dataset, file, _asked(task, mapping, split))
    return Status(201, version_answer(version))


def _dataset(request: Any, dataset_id: int) -> Dataset:
    caller: Caller = request.auth
    return get_object_or_404(caller.within(Dataset.objects.visible_to(caller.user)), pk=dataset_id)


def _version(request: Any, version_id: int) -> DatasetVersion:
    caller: Caller = request.auth
    versions = caller.within(DatasetVersion.objects.visible_to(caller.user), "dataset__team")
    return get_object_or_404(versions.select_related("dataset"), pk=version_id)


@dataset_versions.get("{version_id}")
def get_version(request: Any, version_id: int) -> dict[str, Any]:
    """State, columns, split and problems of one version."""
    return version_answer(_version(request, version_id))


@dataset_versions.get("{version_id}/rows")
def get_rows(request: Any, version_id: int, offset: Whole = 0, limit: Whole = 50) -> dict[str, Any]:
    """Rows as stored; empty until the version is ready."""
    version = _version(request, version_id)
    limit = max(1, min(limit, LIMIT_AT_MOST))
    rows = rows_page(version, offset, limit) if version.state == VersionState.READY else []
    return {"items": rows, "next": offset + limit if len(rows) == limit else None}
