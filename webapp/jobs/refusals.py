"""Writes into the audit log what an attempt was refused: a worker that tries other doors is seen."""

from __future__ import annotations

import logging
from typing import Any

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI

from webapp import clock
from webapp.accounts.models import AuditEntry
from webapp.jobs.models import Attempt

log = logging.getLogger(__name__)
QUIET_SECONDS = 60
"""The same refusal of the same attempt is written once in so long: a flood of them fills no disk."""


def note_refusals(api: NinjaAPI, *kinds: type[Exception]) -> None:
    """Note each of these, then answer as before."""
    for kind in kinds:
        _also_noted(api, kind)


def _also_noted(api: NinjaAPI, kind: type[Exception]) -> None:
    answer: Any = api._exception_handlers[kind]

    def handler(request: HttpRequest, error: Any) -> HttpResponse:
        attempt = getattr(request, "auth", None)
        if isinstance(attempt, Attempt):
            _note(attempt, request, type(error).__name__)
        response: HttpResponse = answer(request, error)
        return response

    api.add_exception_handler(kind, handler)


def _note(attempt: Attempt, request: HttpRequest, kind: str) -> None:
    path = request.path.removeprefix("/api/worker/")
    action, target = "attempt.refused", f"attempt {attempt.pk}"
    detail = {"worker": attempt.worker.name, "asked": f"{request.method} {path}"[:200], "kind": kind}
    try:
        since = clock.in_seconds(-QUIET_SECONDS)
        if not AuditEntry.objects.filter(action=action, target=target, at__gt=since, detail=detail).exists():
            AuditEntry.note(None, attempt.job.team, action, target, **detail)
    except DatabaseError:
        log.warning("a refusal of attempt %s was not noted", attempt.pk)
