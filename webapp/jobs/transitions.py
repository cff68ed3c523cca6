"""The one place where a job's state changes: every pair of states, who may cause it, and what follows.

Each change checks the old state in the same statement, writes a line of history and tells open pages. Who may see a
job is decided before; what a person may do with it now is `actions`.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import F, Max, Q, QuerySet

from webapp import clock
from webapp.accounts.models import AuditEntry, Role, User
from webapp.accounts.permissions import may, require
from webapp.jobs import quotas
from webapp.jobs.consequences import consequence
from webapp.jobs.models import AT_WORK, ENDED, Attempt, Job, JobState, StateChange
from webapp.jobs.permits import permit_on_commit
from webapp.jobs.reasons import sentence_of_end
from webapp.jobs.recording import say, say_first
from workers.protocol import Wish

ALLOWED: frozenset[tuple[str, str]] = frozenset(
    {
        (JobState.QUEUED, JobState.STARTING),
        (JobState.STARTING, JobState.RUNNING),
        (JobState.STARTING, JobState.QUEUED),
        (JobState.STARTING, JobState.CANCELLED),
        (JobState.STARTING, JobState.PAUSED),
        (JobState.RUNNING, JobState.SUCCEEDED),
        (JobState.RUNNING, JobState.QUEUED),
        (JobState.RUNNING, JobState.FAILED),
        (JobState.RUNNING, JobState.CANCELLED),
        (JobState.RUNNING, JobState.PAUSED),
        (JobState.QUEUED, JobState.CANCELLED),
        (JobState.QUEUED, JobState.PAUSED),
        (JobState.PAUSED, JobState.CANCELLED),
        (JobState.PAUSED, JobState.QUEUED),
    }
)
"""No other pair exists; ends have no exit."""


class NotNow(Exception):
    """The job's state does not allow this (409)."""

    def __init__(self, job: Job, verb: str) -> None:
        self.state = job.state
        super().__init__(f"The job is {job.state}, so it cannot be {verb}. Reload the page to see what it allows.")


class StaleAttempt(Exception):
    """The attempt has ended, or never began in time; whatever it still says is not accepted (409)."""


def move(
    job: Job,
    before: str,
    after: str,
    actor: str,
    *,
    attempt: Attempt | None = None,
    reason_code: str = "",
    **fields: Any,
) -> None:
    """Change the state if it still is `before`, with history and event. Raises NotNow if somebody was faster."""
    if (before, after) not in ALLOWED:
        raise ValueError(f"no transition from {before} to {after}")
    if after in ENDED and not reason_code:
        raise ValueError(f"a job is not {after} without a reason")
    if after in ENDED:
        fields |= {"ended_at": clock.now(), "phase": "", "not_before": None}
    if before == JobState.QUEUED:
        fields["reserved_on"] = None
    if after != JobState.RUNNING:  # a cancel that came while it started has noted its reason already
        fields["reason_code"] = reason_code
    with transaction.atomic():
        if Job.objects.filter(pk=job.pk, state=before).update(state=after, **fields) == 0:
            job.refresh_from_db()
            raise NotNow(job, f"made {after}")
        _write_history(job, before, after, actor, attempt, reason_code, fields.get("reason_sentence", ""))
        if after in ENDED:
            say(job.pk, "end", {"state": after})
    job.refresh_from_db()


def enqueue(job: Job, actor: str) -> Job:
    """Store a new job at the end of its pool's queue with the first line of its history; a permit for some worker."""
    with transaction.atomic(savepoint=False):
        job.queue_position = _next_position(job.pool)
        job.last_event = 1
        job.save()
        StateChange.objects.create(job=job, before="", after=job.state, actor=actor)
        say_first(job, "state", {"before": "", "after": job.state, "reason": None})
        permit_on_commit(job.pool)
    return job


def _write_history(
    job: Job, before: str, after: str, actor: str, attempt: Attempt | None, code: str, sentence: str
) -> None:
    StateChange.objects.create(job=job, before=before, after=after, actor=actor, attempt=attempt, reason_code=code)
    reason = {"code": code, "sentence": sentence} if code else None
    say(job.pk, "state", {"before": before, "after": after, "reason": reason}, attempt)


# ---- What a person may do -----------------------------------------------------------------------


def actions(job: Job, user: User) -> list[str]:
    """What this person may do with the job now; buttons and API ask here and never guess."""
    if not may(user, job.team_id, Role.MEMBER):
        return []
    if job.state == JobState.QUEUED:
        return ["pause", "cancel"]
    if job.state in AT_WORK:
        return {"run": ["pause", "cancel"], "pause": ["cancel"]}.get(job.wish, [])
    if job.state == JobState.PAUSED:
        return ["resume", "cancel"]
    return [] if job.state == JobState.SUCCEEDED else ["retry"]


VERBS = {"cancel": "cancelled", "pause": "paused", "resume": "resumed", "retry": "retried"}


def act(job: Job, user: User, action: str) -> Job:
    """Cancel, pause, resume or retry. Returns the job, or for retry the new one.

    Raises NotAllowed (role), NotNow (state). Cancelling or pausing twice changes nothing.
    """
    require(user, job.team_id, Role.MEMBER)
    with transaction.atomic():
        job = Job.objects.select_for_update().get(pk=job.pk)
        if _already(job, action):
            return job
        if action not in actions(job, user):
            raise NotNow(job, VERBS[action])
        AuditEntry.note(user, job.team, f"job.{action}", job.pk)
        return {"cancel": _cancel, "pause": _pause, "resume": _resume, "retry": _retry}[action](job, user)


def _already(job: Job, action: str) -> bool:
    cancelling = job.state == JobState.CANCELLED or (job.state in AT_WORK and job.wish == "cancel")
    pausing = job.state == JobState.PAUSED or (job.state in AT_WORK and job.wish == "pause")
    return (action == "cancel" and cancelling) or (action == "pause" and pausing)


def _cancel(job: Job, user: User) -> Job:
    if job.state in AT_WORK:
        return _wish(job, "cancel")
    code = "cancelled_by_user"
    sentence = f"Cancelled by {user.label}."
    move(job, job.state, JobState.CANCELLED, user.username, reason_code=code, reason_sentence=sentence, wish="cancel")
    return job


def _pause(job: Job, user: User) -> Job:
    if job.state in AT_WORK:
        return _wish(job, "pause")
    move(job, job.state, JobState.PAUSED, user.username, reason_code="paused_by_user", wish="pause")
    return job


def _wish(job: Job, wish: Wish) -> Job:
    """The attempt hears of it with its next heartbeat."""
    Job.objects.filter(pk=job.pk).update(wish=wish)
    job.wish = wish
    say(job.pk, "state", {"before": job.state, "after": job.state, "wish": wish, "reason": None}, job.current_attempt)
    return job


def cancel_with_parent(jobs: QuerySet[Job], actor: str, sentence: str) -> None:
    """What these jobs belong to goes away: cancel each that has not ended, at once or through its attempt."""
    code = "cancelled_with_parent"
    with transaction.atomic():
        for job in jobs.exclude(state__in=ENDED).select_for_update().order_by("pk"):
            if job.state in AT_WORK:
                Job.objects.filter(pk=job.pk).update(reason_code=code, reason_sentence=sentence)
                _wish(job, "cancel")
            else:
                move(
                    job,
                    job.state,
                    JobState.CANCELLED,
                    actor,
                    reason_code=code,
                    reason_sentence=sentence,
                    wish="cancel",
                )


def _resume(job: Job, user: User) -> Job:
    fresh: dict[str, Any] = {
        "wish": "run",
        "queue_position": _next_position(job.pool),
        "reason_sentence": "",
        "not_before": None,
    }
    move(job, JobState.PAUSED, JobState.QUEUED, user.username, **fresh)
    permit_on_commit(job.pool)
    return job


def _retry(job: Job, user: User) -> Job:
    """A new job with the same spec; it starts from the old one's newest checkpoint where there is one.

    Pressed twice, it is still one job: while a retry has not ended, there is no second. It takes a new place in the
    queue, so the team's limits hold for it (LaunchRefused); a resume does not, its job has been counted before.
    """
    pending = job.retries.exclude(state__in=ENDED).first()
    if pending:
        return pending
    quotas.require_room(job.team, user, job.pool)
    fields = ("team", "base_model", "dataset_version", "method", "task", "pool", "gpus", "least_memory_bytes")
    again = Job(
        **{name: getattr(job, name) for name in fields},
        name=job.name,
        created_by=user,
        spec=job.spec,
        priority=job.priority if may(user, job.team_id, Role.MAINTAINER) else min(job.priority, 0),
        retry_of=job,
        study=job.study,
        threads=job.threads,
    )
    return enqueue(again, user.username)


def _next_position(pool: str) -> float:
    """A place at the end of the pool's queue."""
    last: float | None = Job.objects.filter(pool=pool).aggregate(last=Max("queue_position"))["last"]
    return (last or 0.0) + 1.0


# ---- What an attempt's end means for its job -----------------------------------------------------


def end_attempt(
    attempt: Attempt,
    actor: str,
    outcome: str,
    reason_code: str = "",
    sentence: str = "",
    detail: dict[str, Any] | None = None,
    log_tail: list[str] | None = None,
    still: Q | None = None,
) -> Job:
    """End an attempt and move its job on. Raises StaleAttempt if it had ended already, or `still` no longer holds."""
    with transaction.atomic():
        live = Attempt.objects.filter(still or Q(), pk=attempt.pk).exclude(state=Attempt.State.ENDED)
        if live.update(lease_until=F("lease_until")) == 0:  # from here on the row is ours
            raise StaleAttempt
        attempt.refresh_from_db(fields=["state"])
        job = Job.objects.select_for_update().get(pk=attempt.job_id)
        after = consequence(job, attempt, outcome, reason_code)
        if after.code == job.reason_code:  # cancelled with its parent: the sentence was noted with the wish
            sentence, reason_code = job.reason_sentence, after.code
        own = {"outcome": outcome, "reason_code": reason_code}
        Attempt.objects.filter(pk=attempt.pk).update(state=Attempt.State.ENDED, ended_at=clock.now(), **own)
        move(
            job,
            job.state,
            after.after,
            actor,
            attempt=attempt,
            reason_code=after.code,
            reason_sentence=sentence_of_end(after.code, reason_code, sentence),
            reason_detail=_told(after.code, reason_code, detail or {}),
            log_tail=log_tail[-50:] if log_tail else _last_lines(attempt),
            **after.fields,
        )
        if after.after == JobState.QUEUED and job.not_before is None:
            permit_on_commit(job.pool)
    return job


def _told(code: str, own_code: str, detail: dict[str, Any]) -> dict[str, Any]:
    """The attempt's numbers; of a job that is given up, also what its last attempt died of."""
    return detail | {"last_reason": own_code} if code == "crashed_worker" and own_code else detail


def _last_lines(attempt: Attempt) -> list[str]:
    """What the attempt logged last, where it could not say so itself."""
    logged = attempt.events.filter(kind="log").order_by("-number").values_list("body", flat=True)[:50]
    return [str(body.get("text", "")) for body in reversed(logged)]
