"""Cancels many jobs at one go and says of each what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from webapp.accounts.models import User
from webapp.accounts.permissions import NotAllowed
from webapp.jobs import transitions
from webapp.jobs.models import Job, JobQuerySet

AT_MOST = 500

Outcome = Literal["cancelled", "stopping", "not_now", "not_allowed", "unknown"]


@dataclass(frozen=True)
class Cancelled:
    """What happened to one of them."""

    id: int
    outcome: Outcome
    state: str | None
    sentence: str


def cancel_all(ids: Sequence[int], seen: JobQuerySet, user: User) -> list[Cancelled]:
    """Each id once, in the order given; `seen` are the jobs that this call may reach."""
    jobs = seen.select_related("team").in_bulk(set(ids))
    return [_cancel(each, jobs.get(each), user) for each in dict.fromkeys(ids)]


def _cancel(job_id: int, job: Job | None, user: User) -> Cancelled:
    if job is None:
        return Cancelled(job_id, "unknown", None, "There is no such job, or it belongs to a team you are not in.")
    try:
        after = transitions.act(job, user, "cancel")
    except NotAllowed as error:
        return Cancelled(job_id, "not_allowed", job.state, str(error))
    except transitions.NotNow as error:
        return Cancelled(job_id, "not_now", error.state, str(error))
    if after.at_work:
        return Cancelled(job_id, "stopping", after.state, "Its worker is told with the next heartbeat.")
    return Cancelled(job_id, "cancelled", after.state, after.reason_sentence)
