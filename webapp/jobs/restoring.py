"""What a site does once after it came back from a backup: nobody works on the attempts that were running in it.

The database and the files themselves are brought back by whoever keeps the backups.
"""

from __future__ import annotations

import contextlib

from webapp.jobs import inspecting, transitions
from webapp.jobs.models import Attempt, Inspection, Job

REASON = "site_restored"


def end_what_was_running() -> list[Job]:
    """End every live attempt, uncounted: its job waits again, or goes where the person had wished it. Their jobs."""
    jobs = []
    for attempt in Attempt.objects.exclude(state=Attempt.State.ENDED).order_by("pk"):
        with contextlib.suppress(transitions.StaleAttempt):  # a worker that still lives may have ended it just now
            jobs.append(transitions.end_attempt(attempt, "restore", "released", REASON))
    for inspection in Inspection.objects.filter(state=Inspection.State.RUNNING):
        inspecting.give_back(inspection)
    return jobs
