"""Who calls the worker API: a worker by its token, an attempt or inspection by the token of its claim."""

from __future__ import annotations

from django.db.models import Q
from django.http import HttpRequest
from ninja.security import HttpBearer

from webapp import clock
from webapp.accounts.tokens import matches, prefix_of
from webapp.jobs.models import Attempt, Inspection, Worker, removed_for_good

KNOWN_AFTER_END_SECONDS = 24 * 3600
"""So long a worker hears that its attempt has ended; after that its token is as unknown as any other."""


def _forgotten() -> Q:
    """Ended long ago, or of a worker that was removed and has had its time to leave."""
    return Q(ended_at__lt=clock.in_seconds(-KNOWN_AFTER_END_SECONDS)) | removed_for_good()


class WorkerToken(HttpBearer):
    """May say hello and claim, nothing else. A revoked one hears with its hello that it was removed."""

    def authenticate(self, request: HttpRequest, token: str) -> Worker | None:
        prefix = prefix_of(token, "w")
        worker = Worker.objects.filter(token_prefix=prefix).first() if prefix else None
        return worker if worker and matches(token, worker.token_sha256) else None


class AttemptToken(HttpBearer):
    """May read one job's inputs and write one attempt's results."""

    def authenticate(self, request: HttpRequest, token: str) -> Attempt | None:
        prefix = prefix_of(token, "a")
        known = Attempt.objects.exclude(_forgotten())
        found = known.filter(token_prefix=prefix).first() if prefix else None
        return found if found and matches(token, found.token_sha256) else None


class InspectionToken(HttpBearer):
    """May read one inspection's inputs and write its answer."""

    def authenticate(self, request: HttpRequest, token: str) -> Inspection | None:
        prefix = prefix_of(token, "a")
        known = Inspection.objects.select_related("worker").exclude(_forgotten())
        found = known.filter(token_prefix=prefix).first() if prefix else None
        return found if found and matches(token, found.token_sha256) else None
