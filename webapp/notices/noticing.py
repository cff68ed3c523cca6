"""Who is told what of a change: rows for the list and for the outbox, made with the change itself.

A happening has a key, so that the same end reported twice is told once. How things leave the house is sending.py's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from webapp.accounts.models import AuditEntry, Role, User
from webapp.accounts.permissions import people_of
from webapp.jobs.models import AT_WORK, ENDED, Attempt, Job, JobState, StateChange
from webapp.notices import tasks
from webapp.notices.models import Channel, Delivery, Kind, Notice, NoticeChoice
from workers.protocol import INFRASTRUCTURE_REASONS

INTERRUPTIONS = INFRASTRUCTURE_REASONS | {"worker_cut_off"}
"""Not a drained worker: somebody wanted that."""
BY_EMAIL = "e-mail"
"""Stands as host of everything that leaves by the mail server."""


@dataclass(frozen=True)
class Happening:
    """One thing to tell about a job, under a key that names it for good."""

    key: str
    kind: str
    job: Job
    sentence: str


def notice(change: StateChange) -> None:
    """Tell everyone who wants to know of this line of a job's history; most lines are of no interest to anyone."""
    if change.before not in AT_WORK and change.after not in ENDED:
        return
    job = Job.objects.select_related("team").get(pk=change.job_id)
    for happening in _of_job(job, change):
        _tell(happening, _followers(happening, job))
    lost = _worker_lost(job, change)
    if lost:
        _tell(lost, _maintainers(job))


def _of_job(job: Job, change: StateChange) -> list[Happening]:
    """At most one: the job's end, or that infrastructure interrupted it."""
    if change.after in ENDED:
        return [Happening(f"job:{job.pk}:end", change.after, job, _end_in_words(job, change.after))]
    if change.after == JobState.QUEUED and change.reason_code in INTERRUPTIONS:
        words = f"{job.name} was interrupted and waits to go on. {job.reason_sentence}".rstrip()
    elif change.after == JobState.PAUSED and change.reason_code != "paused_by_user":
        words = f"{job.name} was paused. {job.reason_sentence}".rstrip()
    else:
        return []
    key = f"attempt:{change.attempt_id}" if change.attempt_id else f"change:{change.pk}"
    return [Happening(f"{key}:interrupted", Kind.INTERRUPTED, job, words)]


def _end_in_words(job: Job, after: str) -> str:
    if after == JobState.CANCELLED:
        who = _canceller(job)
        return f"{job.name} was cancelled" + (f" by {who.label}." if who else ".")
    return f"{job.name} failed. {job.reason_sentence}" if after == JobState.FAILED else f"{job.name} {after}."


def _worker_lost(job: Job, change: StateChange) -> Happening | None:
    """One silence of a worker is one happening, however many jobs it had."""
    if change.before not in AT_WORK or change.after in AT_WORK or change.attempt_id is None:
        return None
    attempt = Attempt.objects.select_related("worker").get(pk=change.attempt_id)
    if attempt.reason_code != "worker_lost":
        return None
    worker = attempt.worker
    heard = worker.last_hello_at.isoformat() if worker.last_hello_at else "never"
    sentence = f"Worker {worker.name} stopped answering while it had {job.name}."
    return Happening(f"worker:{worker.pk}:lost:{heard}", Kind.WORKER_LOST, job, sentence)


def _followers(happening: Happening, job: Job) -> list[NoticeChoice]:
    """The job's owner and those who follow its team; nobody is told of what they did themselves."""
    saved = NoticeChoice.objects.filter(Q(user=job.created_by_id) | Q(teams=job.team_id)).select_related("user")
    choices: dict[int | None, NoticeChoice] = {choice.user_id: choice for choice in saved.distinct()}
    owner = job.created_by
    if owner is not None and owner.pk not in choices:
        choices[owner.pk] = NoticeChoice(user=owner)
    if happening.kind == Kind.CANCELLED:
        who = _canceller(job)
        choices.pop(who.pk if who else None, None)
    return list(choices.values())


def _canceller(job: Job) -> User | None:
    """Who asked for the job's cancelling, as the audit trail has it."""
    asked = AuditEntry.objects.filter(action="job.cancel", target=str(job.pk)).select_related("actor").first()
    return asked.actor if asked else None


def _maintainers(job: Job) -> list[NoticeChoice]:
    roles = Q(user__memberships__team=job.team_id, user__memberships__role=Role.MAINTAINER)
    rows = NoticeChoice.objects.filter(roles | Q(user__is_superuser=True, teams=job.team_id), worker_lost=True)
    return list(rows.select_related("user").distinct())


def _tell(happening: Happening, choices: Iterable[NoticeChoice]) -> None:
    """One row a person, and one a channel; a second time nothing is added."""
    wanted = {choice.user_id: choice for choice in choices if choice.wants(happening.kind) and _channels(choice)}
    if not wanted:
        return
    told = sorted(people_of(happening.job.team_id).filter(pk__in=wanted).values_list("pk", flat=True))
    rows = [
        Notice(
            user_id=user_id,
            key=happening.key,
            job=happening.job,
            kind=happening.kind,
            sentence=happening.sentence,
            in_app=wanted[user_id].in_app,
        )
        for user_id in told
    ]
    Notice.objects.bulk_create(rows, ignore_conflicts=True)
    kept = Notice.objects.filter(key=happening.key, user__in=told).select_related("job__team")
    deliveries = [delivery for each in kept for delivery in _deliveries(each, wanted[each.user_id])]
    if deliveries:
        Delivery.objects.bulk_create(deliveries, ignore_conflicts=True)
        transaction.on_commit(tasks.wake)


def _channels(choice: NoticeChoice) -> bool:
    return choice.in_app or choice.email or bool(choice.webhook_url)


def _deliveries(told: Notice, choice: NoticeChoice) -> list[Delivery]:
    user: User = choice.user
    body, now = body_of(told), timezone.now()
    found = []
    if choice.email and user.email:
        found.append(Delivery(channel=Channel.EMAIL, address=user.email, host=BY_EMAIL))
    if choice.webhook_url:
        host = urlsplit(choice.webhook_url).hostname or ""
        found.append(Delivery(channel=Channel.WEBHOOK, address=choice.webhook_url, host=host))
    for delivery in found:
        delivery.notice, delivery.body, delivery.next_try_at = told, body, now
    return found


def body_of(told: Notice) -> dict[str, Any]:
    """What goes out: the state as it was at the happening, not as it is when the message at last gets through."""
    job = told.job
    return {
        "kind": told.kind,
        "sentence": told.sentence,
        "job": {
            "id": job.pk,
            "name": job.name,
            "team": job.team.slug,
            "state": job.state,
            "reason": {"code": job.reason_code, "sentence": job.reason_sentence} if job.reason_code else None,
            "step": job.step,
            "total_steps": job.total_steps,
            "url": f"{settings.SITE_URL.rstrip('/')}{job.get_absolute_url()}",
        },
    }
