"""What the database and the stored files say after a run, as one JSON object: `python -m tests.nemesis.collecting`.

A process of its own, so that the run itself needs no Django and works on SQLite and PostgreSQL alike.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")
django.setup()

from django.db import connection  # noqa: E402  (only after the settings are there)

from webapp.jobs.metrics import read_history  # noqa: E402
from webapp.jobs.models import Artifact, Attempt, Job, StateChange  # noqa: E402
from webapp.storing import open_stored  # noqa: E402

OF_THE_SITE = ("state", "attempt", "end")


def job_facts(job: Job) -> dict[str, Any]:
    attempts = list(job.attempts.order_by("number"))
    first = attempts[0].resumed_step if attempts and job.retry_of_id else 0
    return {
        "id": job.pk,
        "state": job.state,
        "wish": job.wish,
        "reason_code": job.reason_code,
        "total_steps": job.total_steps,
        "last_event": job.last_event,
        "steps": read_history(job).columns.step.tolist(),
        "begins_after": first,
        "numbers": sorted(_numbers(job)),
        "retry_of": job.retry_of_id,
    }


def _numbers(job: Job) -> list[int]:
    rows = list(job.events.values_list("number", flat=True))
    return rows + [int(n) for chunk in job.chunks.all() for n in chunk.columns.event.tolist()]


def attempt_facts(attempt: Attempt) -> dict[str, Any]:
    said = [row for row in attempt.events.all() if row.kind not in OF_THE_SITE]
    own = [row for row in said if not (row.kind == "artifact" and "id" in row.body)]
    points = sum(chunk.points for chunk in attempt.chunks.all())
    return {
        "id": attempt.pk,
        "job": attempt.job_id,
        "number": attempt.number,
        "worker": attempt.worker.name,
        "claim_id": attempt.claim_id,
        "state": attempt.state,
        "outcome": attempt.outcome,
        "reason_code": attempt.reason_code,
        "created_at": attempt.created_at.timestamp(),
        "ended_at": attempt.ended_at.timestamp() if attempt.ended_at else None,
        "acked_seq": attempt.acked_seq,
        "stored": len(own) + points,
    }


def artifact_facts(artifact: Artifact) -> dict[str, Any]:
    files = [{**file, "stored_sha256": _stored_sha256(file["key"])} for file in artifact.files]
    return {
        "id": artifact.pk,
        "job": artifact.job_id,
        "files": files,
        "manifest": artifact.manifest,
        "content": _content(artifact.files),
    }


def _stored_sha256(key: str) -> str | None:
    try:
        with open_stored(key) as file:
            return hashlib.sha256(file.read()).hexdigest()
    except FileNotFoundError:
        return None


def _content(files: list[dict[str, Any]]) -> str:
    """The weight that the toy trainer left."""
    for file in files:
        if file["name"] == "delta.json":
            try:
                with open_stored(file["key"]) as opened:
                    return str(json.load(opened)["weight"])
            except (FileNotFoundError, ValueError, KeyError):
                return ""
    return ""


def change_facts(change: StateChange) -> dict[str, Any]:
    return {
        "job": change.job_id,
        "before": change.before,
        "after": change.after,
        "actor": change.actor,
        "at": change.at.timestamp(),
        "reason_code": change.reason_code,
    }


def text_of_all_tables() -> list[str]:
    """Every row of every table as text: where a secret would show."""
    lines = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            lines += [f"{table}: {[str(cell) for cell in row]}" for row in cursor.fetchall()]
    return lines


def collect(secrets: list[str]) -> dict[str, Any]:
    dump = text_of_all_tables()
    return {
        "jobs": [job_facts(job) for job in Job.objects.order_by("id")],
        "attempts": [attempt_facts(attempt) for attempt in Attempt.objects.order_by("id")],
        "changes": [change_facts(change) for change in StateChange.objects.order_by("id")],
        "artifacts": [artifact_facts(artifact) for artifact in Artifact.objects.order_by("id")],
        "told": [line[:80] for line in dump if any(secret in line for secret in secrets)],
    }


if __name__ == "__main__":
    print(json.dumps(collect(json.load(sys.stdin))))
