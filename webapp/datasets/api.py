"""Datasets for programs: upload, look, read rows."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal

from django.shortcuts import get_object_or_404
from ninja import File, Form, Header, Router, Status
from ninja.errors import HttpError
from ninja.files import UploadedFile

from webapp.accounts.auth import Caller
from webapp.accounts.permissions import teams_to_work_in
from webapp.datasets.archiving import archive, bring_back, delete
from webapp.datasets.asking import AskedInForm, asked_in_form
from webapp.datasets.browsing import Wanted, download, find_rows, problem_list
from webapp.datasets.comparing import BYTES_AT_MOST, ROWS_AT_MOST, TooLong, difference
from webapp.datasets.drafting import discard
from webapp.datasets.models import Dataset, DatasetVersion, VersionState
from webapp.datasets.uploading import UploadRefused, new_version, upload
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
        "archived": dataset.archived_at is not None,
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
        "problems": version.all_problems,
        "problems_total": version.all_problems_total,
        "progress": version.progress,
        "offers": version.all_offers,
        "file_columns": version.file_columns,
        "reasons": version.reasons,
        "upload_kept": version.upload_kept,
        "made_from": version.made_from_id,
        "step": version.step,
        "found": version.found,
        "token_stats": version.token_stats,
        "long_rows": version.long_rows,
        "created_at": version.created_at,
    }


@datasets.get("")
def list_datasets(
    request: Any, limit: Whole = 50, cursor: Whole | None = None, archived: bool = False
) -> dict[str, Any]:
    """Datasets of your teams, and those that all teams share; newest first. `archived`: those put away instead."""
    caller: Caller = request.auth
    rows = Dataset.objects.visible_to(caller.user).filter(archived_at__isnull=not archived)
    return page(caller.within(rows.for_list()), dataset_answer, limit, cursor)


@datasets.post("", response={201: dict[str, Any]})
def create_dataset(
    request: Any,
    file: File[UploadedFile],
    sent: Form[AskedInForm],
    name: Form[str] = "",
    idempotency_key: Header[str | None] = None,
) -> Any:
    """Upload a file as the first version of a new dataset.

    The same `Idempotency-Key` from the same team again is answered with the dataset that was made the first time.
    """
    caller: Caller = request.auth
    team = caller.team or next(iter(teams_to_work_in(caller.user)), None)
    if team is None:
        raise UploadRefused("team", "You are in no team in which you may make things.", "Ask a maintainer.", 403)
    version = upload(caller.user, team, name, file, asked_in_form(sent), idempotency_key)
    answer = {"id": version.pk, "number": version.number, "state": version.state}
    return Status(201, {"id": version.dataset_id, "name": version.dataset.name, "version": answer})


@datasets.get("{dataset_id}")
def get_dataset(request: Any, dataset_id: int) -> dict[str, Any]:
    """One dataset with all its versions."""
    dataset = dataset_of(request, dataset_id)
    return dataset_answer(dataset) | {"versions": [version_answer(version) for version in dataset.versions.all()]}


@datasets.post("{dataset_id}/versions", response={201: dict[str, Any]})
def create_version(
    request: Any,
    dataset_id: int,
    file: File[UploadedFile],
    sent: Form[AskedInForm],
) -> Any:
    """Upload a further version."""
    dataset = dataset_to_change(request, dataset_id)
    version = new_version(request.auth.user, dataset, file, asked_in_form(sent))
    return Status(201, version_answer(version))


def dataset_of(request: Any, dataset_id: int) -> Dataset:
    caller: Caller = request.auth
    return get_object_or_404(caller.within(Dataset.objects.visible_to(caller.user)), pk=dataset_id)


def version_of(request: Any, version_id: int) -> DatasetVersion:
    caller: Caller = request.auth
    versions = caller.within(DatasetVersion.objects.visible_to(caller.user), "dataset__team")
    return get_object_or_404(versions.select_related("dataset"), pk=version_id)


def dataset_to_change(request: Any, dataset_id: int) -> Dataset:
    dataset = dataset_of(request, dataset_id)
    _require_reach(request, dataset)
    return dataset


def version_to_change(request: Any, version_id: int) -> DatasetVersion:
    version = version_of(request, version_id)
    _require_reach(request, version.dataset)
    return version


def _require_reach(request: Any, dataset: Dataset) -> None:
    """What belongs to every team is out of a token's reach, whoever made it."""
    if request.auth.team and dataset.team_id is None:
        raise HttpError(403, "This token reaches one team, and the dataset is every team's. Manage it in a browser.")


@datasets.post("{dataset_id}/archive")
def archive_dataset(request: Any, dataset_id: int) -> dict[str, Any]:
    """Out of lists and forms; jobs that used it, its versions and files stay."""
    archive(request.auth.user, dataset_to_change(request, dataset_id))
    return dataset_answer(dataset_of(request, dataset_id))


@datasets.post("{dataset_id}/bring-back")
def bring_dataset_back(request: Any, dataset_id: int) -> dict[str, Any]:
    """The opposite of archiving."""
    bring_back(request.auth.user, dataset_to_change(request, dataset_id))
    return dataset_answer(dataset_of(request, dataset_id))


@datasets.delete("{dataset_id}", response={204: None})
def delete_dataset(request: Any, dataset_id: int) -> Any:
    """With all versions and files. 409 where a job used one: archive it then."""
    delete(request.auth.user, dataset_to_change(request, dataset_id))
    return Status(204, None)


@dataset_versions.get("{version_id}/changes")
def get_changes(request: Any, version_id: int, since: int) -> dict[str, Any]:
    """Rows added, removed and changed since an older version of the same dataset, with the first ten of each."""
    newer, older = version_of(request, version_id), version_of(request, since)
    if older.dataset_id != newer.dataset_id or not older.file_key or not newer.file_key:
        message = "Both must be checked versions of one dataset."
        raise UploadRefused("dataset.changes", message, "Name the id of another version of it as `since`.", 422)
    try:
        return asdict(difference(older, newer))
    except TooLong as error:
        message = f"Versions of more than {ROWS_AT_MOST:,} rows, or {BYTES_AT_MOST:,} bytes, are not compared."
        raise UploadRefused("dataset.changes", message, "Download both and compare them.", 422) from error
    except FileNotFoundError as error:
        message = "The stored rows of one of the two are gone."
        raise UploadRefused("dataset.changes", message, "Upload it again as a new version.", 409) from error


@dataset_versions.get("{version_id}")
def get_version(request: Any, version_id: int) -> dict[str, Any]:
    """State, columns, split and problems of one version."""
    return version_answer(version_of(request, version_id))


@dataset_versions.delete("{version_id}", response={204: None})
def discard_draft(request: Any, version_id: int) -> Any:
    """Forget a draft and its file. 409 for a saved version: delete or archive its dataset."""
    discard(request.auth.user, version_to_change(request, version_id))
    return Status(204, None)


@dataset_versions.get("{version_id}/problems.csv")
def get_problem_list(request: Any, version_id: int) -> Any:
    """Every problem, not only the first ones, as CSV."""
    return problem_list(version_of(request, version_id))


@dataset_versions.get("{version_id}/rows")
def get_rows(
    request: Any,
    version_id: int,
    offset: Whole = 0,
    limit: Whole = 50,
    q: str = "",
    label: str = "",
    side: Literal["", "train", "eval"] = "",
    problem: str = "",
) -> dict[str, Any]:
    """Rows as stored; empty until the version is ready. `numbers` are the rows' own, from 1.

    With `q` (words), `label`, `side` or `problem` (a code), those that fit; `next` may come before `limit` rows were
    found: go on there.
    """
    version = version_of(request, version_id)
    limit = max(1, min(limit, LIMIT_AT_MOST))
    if version.state != VersionState.READY:
        return {"items": [], "numbers": [], "next": None}
    found = find_rows(version, Wanted(q, label, side, problem.removeprefix("dataset.")), offset, limit)
    return {
        "items": [row for _, row in found.rows],
        "numbers": [number for number, _ in found.rows],
        "next": found.next,
    }


@dataset_versions.get("{version_id}/download")
def download_version(request: Any, version_id: int) -> Any:
    """The stored file: JSON Lines, every row with its side."""
    return download(version_of(request, version_id), request.auth.user)
