"""Artifacts for programs: the manifest, the zip, single files, merging."""

from __future__ import annotations

from typing import Any

from django.http import StreamingHttpResponse
from django.shortcuts import get_object_or_404
from ninja import Router

from webapp import api_errors
from webapp.accounts.auth import Caller
from webapp.jobs import downloading, merging
from webapp.jobs.answers import artifact_answer, merging_answer
from webapp.jobs.models import Artifact

artifacts = Router(tags=["artifacts"])


def _artifact(request: Any, artifact_id: int) -> Artifact:
    caller: Caller = request.auth
    rows = Artifact.objects.visible_to(caller.user).select_related("job__team", "job__base_model")
    rows = rows.filter(job__team=caller.team) if caller.team else rows
    return get_object_or_404(rows, pk=artifact_id)


@artifacts.get("{int:artifact_id}")
def get_artifact(request: Any, artifact_id: int) -> dict[str, Any]:
    """The manifest, and sha256 and size of each file."""
    return artifact_answer(_artifact(request, artifact_id))


@artifacts.post("{int:artifact_id}/merge")
def merge_artifact(request: Any, artifact_id: int) -> dict[str, Any]:
    """Ask a worker to merge a delta into its base model. Asked again, the answer is how far that is.

    `state` is queued, running, failed or done; done, `artifact` is the merged model's id.
    """
    return merging_answer(merging.merge(request.auth.user, _artifact(request, artifact_id)))


@artifacts.get("{int:artifact_id}/download")
def download_artifact(request: Any, artifact_id: int) -> StreamingHttpResponse:
    """The whole delta artifact as a zip, every file checked against its hash on the way out."""
    return downloading.as_zip(_artifact(request, artifact_id), request.auth.user)


@artifacts.get("{int:artifact_id}/files/{path:name}")
def download_file(request: Any, artifact_id: int, name: str) -> StreamingHttpResponse:
    """One file of the artifact."""
    response = downloading.one_file(_artifact(request, artifact_id), name, request.auth.user)
    if response is None:
        raise api_errors.Unknown
    return response
