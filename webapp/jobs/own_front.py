"""One job among those it may be compared with: the front of score against cost, with a ring around this one."""

from __future__ import annotations

from typing import Any

from webapp.accounts.models import User
from webapp.jobs import comparing
from webapp.jobs.comparing import Group
from webapp.jobs.fronts import COSTS, Cost, front, merit_of
from webapp.jobs.models import Job, JobState
from webapp.jobs.reference_lines import before_training

LOOKED_AT = 200
COMPARED_AT_MOST = 32


def own_front(job: Job, viewer: User) -> dict[str, Any]:
    """Figures by cost (None without two points), who is on them, and whether this job is."""
    panel = _panel(job, viewer)
    mine = next((group for group in panel if job in group.jobs), None)
    first = next((group for group in panel if group.scores), None)
    base = before_training(first.finished[0], first.metric) if first else None
    merit = merit_of(panel, base)
    costs = [cost for cost in COSTS if cost.purpose == "score"]
    return {
        "fronts": [(cost, _words(cost), front(panel, cost, merit, ringed=mine)) for cost in costs],
        "beside": [each for group in panel for each in group.jobs][:COMPARED_AT_MOST],
        "on_it": mine is not None and mine.scores is not None,
    }


def _words(cost: Cost) -> str:
    return f"Score against {cost.title.split(',')[0].lower()}"


def _panel(job: Job, viewer: User) -> list[Group]:
    """Jobs that have succeeded and whose scores may share a panel with this one's; without a score yet, the most."""
    alike = Job.objects.visible_to(viewer).filter(base_model=job.base_model_id, dataset_version=job.dataset_version_id)
    done = alike.filter(state=JobState.SUCCEEDED).select_related("base_model", "team").prefetch_related("artifacts")
    panels = comparing.facets(comparing.groups_of(list(done.order_by("-id")[:LOOKED_AT])), "score")
    own = next((panel for panel in panels for group in panel if job in group.jobs), None)
    return own or next(iter(panels), [])
