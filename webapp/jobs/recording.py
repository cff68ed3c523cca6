"""Gives every event of a job its number and keeps it: metrics as column chunks, the rest as rows.

The number is allotted in the transaction of its batch, so the live view has a cursor without gaps.
"""

from __future__ import annotations

import math
import time
from typing import Any

from django.db import transaction
from django.db.models import F

from webapp import broker
from webapp.jobs.columns import Columns
from webapp.jobs.models import LARGE_CHUNK_POINTS, Attempt, Event, Job, MetricChunk
from webapp.jobs.pace import left

SMALL_CHUNKS_AT_MOST = 64
Message = dict[str, Any]


def say(job_id: int, kind: str, body: dict[str, Any], attempt: Attempt | None = None) -> None:
    """Record one event that the site itself makes (state, attempt)."""
    record(job_id, attempt, [{"kind": kind, "time": time.time(), **body}])


def say_first(job: Job, kind: str, body: dict[str, Any]) -> None:
    """The same for a job stored just now, in the same transaction and with `last_event` 1: nobody else has numbers."""
    keep(job, None, [{"kind": kind, "time": time.time(), **body}])


def record(job_id: int, attempt: Attempt | None, events: list[dict[str, Any]]) -> None:
    """Number and keep these events, in order; tell open pages once the transaction is through."""
    if not events:
        return
    with transaction.atomic(savepoint=False):
        keep(take_numbers(job_id, len(events)), attempt, events)


def take_numbers(job_id: int, count: int, *fields: str) -> Job:
    """The job with `last_event` moved on by so many, and these fields; its row is ours until the transaction ends."""
    Job.objects.filter(pk=job_id).update(last_event=F("last_event") + count)
    return Job.objects.only("last_event", *fields).get(pk=job_id)


def keep(job: Job, attempt: Attempt | None, events: list[dict[str, Any]]) -> None:
    """Keep events under the numbers just taken for them; tell open pages once the transaction is through."""
    job_id = job.pk
    numbered = list(enumerate(events, start=job.last_event - len(events) + 1))
    number = attempt.number if attempt else None
    messages = [{**event, "n": n, "attempt": number} for n, event in numbered]
    _keep_rows(job_id, attempt, [(n, event) for n, event in numbered if event["kind"] != "metrics"])
    if attempt:
        _keep_points(attempt, [(n, event) for n, event in numbered if event["kind"] == "metrics"])
    transaction.on_commit(lambda: broker.publish(job_id, messages))


def tell_time_left(events: list[dict[str, Any]], job: Job) -> None:
    """The newest metrics event takes along how long the job still takes, [low, high] in seconds, as its row says."""
    newest = next((event for event in reversed(events) if event["kind"] == "metrics"), None)
    told = left(job.pace, job.total_steps - job.step) if newest else None
    if newest and told and not told.rough:
        newest["left"] = [round(told.low, 1), round(told.high, 1)]


def _keep_rows(job_id: int, attempt: Attempt | None, numbered: list[tuple[int, dict[str, Any]]]) -> None:
    Event.objects.bulk_create(
        Event(job_id=job_id, attempt=attempt, number=n, kind=event["kind"], body=_body(event)) for n, event in numbered
    )


def _body(event: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in event.items() if key not in ("kind", "seq")}


def _keep_points(attempt: Attempt, numbered: list[tuple[int, dict[str, Any]]]) -> None:
    if not numbered:
        return
    points = [
        (n, event["step"], event.get("time", 0.0), event.get("epoch", math.nan), as_numbers(event["values"]))
        for n, event in numbered
    ]
    keep_columns(attempt, Columns.of_points(points))
    if attempt.chunks.filter(points__lt=LARGE_CHUNK_POINTS).count() >= SMALL_CHUNKS_AT_MOST:
        merge_chunks(attempt)


def keep_columns(attempt: Attempt, columns: Columns) -> None:
    """As one chunk; its points are numbered already."""
    MetricChunk.objects.create(
        job_id=attempt.job_id,
        attempt=attempt,
        first_event=int(columns.event[0]),
        last_event=int(columns.event[-1]),
        first_step=int(columns.step.min()),
        last_step=int(columns.step.max()),
        points=len(columns),
        payload=columns.pack(),
    )


def merge_chunks(attempt: Attempt) -> None:
    """Make one chunk of an attempt's small ones. Points, numbers and order stay as they are."""
    with transaction.atomic():
        small = list(attempt.chunks.filter(points__lt=LARGE_CHUNK_POINTS).order_by("first_event"))
        if len(small) < 2:
            return
        MetricChunk.objects.filter(pk__in=[chunk.pk for chunk in small]).delete()
        keep_columns(attempt, Columns.joined([chunk.columns for chunk in small]))


def as_numbers(values: dict[str, float | str]) -> dict[str, float]:
    """NaN and infinities travel as words."""
    return {name: float(value) for name, value in values.items()}


def messages_after(job_id: int, cursor: int, limit: int = 2000) -> list[Message]:
    """Events of a job after a cursor, oldest first, at most `limit`; the database is the history."""
    rows = Event.objects.filter(job_id=job_id, number__gt=cursor).select_related("attempt").order_by("number")[:limit]
    messages = [_row_message(row) for row in rows]
    chunks = MetricChunk.objects.filter(job_id=job_id, last_event__gt=cursor).select_related("attempt")
    chunks = chunks.order_by("first_event")
    for chunk in chunks:
        if len(messages) >= 2 * limit:
            break
        messages += _chunk_messages(chunk, cursor)
    told = sorted(messages, key=lambda message: message["n"])[:limit]
    if chunks:
        tell_time_left(told, Job.objects.only("pace", "step", "total_steps").get(pk=job_id))
    return told


def _row_message(row: Event) -> Message:
    attempt = row.attempt.number if row.attempt else None
    return {"time": row.at.timestamp(), **row.body, "n": row.number, "attempt": attempt, "kind": row.kind}


def _chunk_messages(chunk: MetricChunk, cursor: int) -> list[Message]:
    columns = chunk.columns
    values: list[dict[str, float | str]] = [{} for _ in range(len(columns))]
    for name, series in columns.series.items():
        for row, value in zip(series.rows.tolist(), series.values.tolist(), strict=True):
            values[row][name] = as_json_number(value)
    return [
        {
            "n": n,
            "attempt": chunk.attempt.number,
            "kind": "metrics",
            "time": moment,
            "step": step,
            "epoch": None if math.isnan(epoch) else epoch,
            "values": each,
        }
        for n, step, moment, epoch, each in zip(
            columns.event.tolist(),
            columns.step.tolist(),
            columns.time.tolist(),
            columns.epoch.tolist(),
            values,
            strict=True,
        )
        if n > cursor
    ]


def as_json_number(value: float) -> float | str:
    """A float32 with the digits it really has; NaN and infinities as words, since JSON has none."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return float(f"{value:.7g}")
