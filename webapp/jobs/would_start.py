"""About when a job would start that is still being thought about: the queue's own forecast, with one job more in it."""

from __future__ import annotations

import math
from typing import Any

from webapp.accounts.models import Team, User
from webapp.basemodels.models import BaseModel
from webapp.datasets.models import DatasetVersion
from webapp.jobs.least_memory import by_arithmetic
from webapp.jobs.models import Job, JobState
from webapp.jobs.outlook import look
from webapp.jobs.queue_options import QueueOptions
from webapp.jobs.queue_state import QueuedJob
from workers.methods.method import Method
from workers.protocol import JobSpec

FORESEEN_AT_MOST = 100
"""Behind more queued jobs nothing is said: it would take too long to work out while somebody types."""
ASKED = 0
"""Id of the job that is not there yet."""


def seconds_until(
    user: User,
    team: Team,
    method: Method,
    base_model: BaseModel,
    version: DatasetVersion,
    resolved: dict[str, Any],
    queue: QueueOptions,
) -> float | None:
    """None where it cannot be known, or would never start as things are."""
    if Job.objects.filter(state=JobState.QUEUED)[: FORESEEN_AT_MOST + 1].count() > FORESEEN_AT_MOST:
        return None
    references = base_model.as_reference(), version.as_reference()
    settings = resolved["options"], resolved["training"], queue.gpus
    spec = JobSpec(ASKED, "", version.task, *references, method.name, *settings)  # type: ignore[arg-type]
    asked = QueuedJob(
        id=ASKED,
        team_id=team.pk,
        created_by_id=user.pk,
        pool=queue.pool,
        priority=queue.priority,
        queue_position=math.inf,
        gpus=queue.gpus,
        least_memory_bytes=by_arithmetic(base_model, version, spec),
        run_after=queue.starts_after,
        not_before=None,
        reserved_on_id=None,
        base_model_id=base_model.pk,
        method=method.name,
        dataset_version_id=version.pk,
        step=0,
        total_steps=0,
    )
    return look(asked).starts.get(ASKED)
