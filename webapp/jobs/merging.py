"""Merging on request: a worker writes a delta into its base model, and the whole model is listed beside the delta."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction

from webapp.accounts.models import AuditEntry, Role, Team, User
from webapp.accounts.permissions import require
from webapp.jobs.estimating import why_not_merged
from webapp.jobs.handing_in import base_model_files
from webapp.jobs.inspecting import ask
from webapp.jobs.models import Artifact, Inspection
from webapp.storing import require_space
from workers.protocol import DEFAULT_POOL


class MergeRefused(Exception):
    """This artifact cannot be merged (422): a sentence why."""


@dataclass(frozen=True)
class Merging:
    """How far the merging of a delta is: everything None before anybody asked."""

    merged: Artifact | None = None
    inspection: Inspection | None = None
    """The newest one that was asked to."""

    @property
    def open(self) -> bool:
        return self.merged is None and self.inspection is not None and self.inspection.open

    @property
    def state(self) -> str:
        """not_asked, queued, running, failed or done."""
        if self.merged is not None:
            return "done"
        if self.inspection is None or self.inspection.state == Inspection.State.ANSWERED:  # and what came is damaged
            return "not_asked"
        return str(self.inspection.state)


def merging_of(delta: Artifact) -> Merging:
    """Its state now."""
    merged = Artifact.objects.filter(attempt=delta.attempt_id, kind=Artifact.Kind.MERGED, damaged_at=None).first()
    return Merging(merged, delta.inspections.first())


def merge(user: User, delta: Artifact) -> Merging:
    """Ask a worker to merge it; asked twice, it is merged once. Raises NotAllowed, MergeRefused, DiskNearlyFull."""
    job = delta.job
    require(user, job.team_id, Role.MEMBER)
    if delta.kind != Artifact.Kind.DELTA:
        raise MergeRefused("This is a merged model already.")
    if why := why_not_merged(job):
        raise MergeRefused(why)
    if delta.damaged_at is not None:
        raise MergeRefused("A file of this delta is damaged in storage. Retry the job to make it again.")
    with transaction.atomic():
        Team.objects.select_for_update(no_key=True).get(pk=job.team_id)  # a second press waits for the first
        now = merging_of(delta)
        if now.state in ("done", Inspection.State.QUEUED, Inspection.State.RUNNING):
            return now
        require_space(job.base_model.bytes)
        files = _placed("base_model", base_model_files(job.base_model)) + _placed("artifact", delta.files)
        worker = delta.attempt.worker
        pool = worker.pool if worker.revoked_at is None else DEFAULT_POOL
        asked = ask({"kind": "merged_model"}, artifact=delta, files=files, asked_by=user, pool=pool)
        AuditEntry.note(user, job.team, "artifact.merge", delta.pk)
    return Merging(None, asked)


def _placed(folder: str, files: list[dict[str, object]]) -> list[dict[str, object]]:
    return [{**file, "name": f"{folder}/{file['name']}"} for file in files]
