"""Jobs that went every way, planted in a running stack's database: `manage.py shell -c` calls `plant`."""

from __future__ import annotations

from webapp.accounts.models import Membership, Role, Team, User
from webapp.basemodels.models import BaseModel, BaseModelState, Source
from webapp.datasets.models import Dataset, DatasetVersion, VersionState
from webapp.jobs import transitions
from webapp.jobs.models import Job
from workers.protocol import JobSpec

LONG = "a-name-without-a-single-space-that-goes-on-for-longer-than-any-phone-is-wide-and-then-some-more"


def plant() -> None:
    """Three ends of the admin's jobs: one succeeded, one failed, one cancelled by Bob."""
    admin, team = User.objects.get(username="admin"), Team.objects.get(slug="first-team")
    bob = User.objects.create_user("bob", first_name="Bob")
    Membership.objects.create(user=bob, team=team, role=Role.MEMBER)
    model = BaseModel.objects.create(name="toy", source=Source.STARTER, state=BaseModelState.READY, files=[])
    dataset = Dataset.objects.create(team=team, name="reviews", created_by=admin)
    version = DatasetVersion.objects.create(dataset=dataset, number=1, state=VersionState.READY, upload_bytes=1)
    spec = JobSpec(0, "job", "text-classification", model.as_reference(), version.as_reference(), "lora", {}, {})
    jobs = [
        Job.objects.create(
            team=team,
            name=name,
            created_by=admin,
            base_model=model,
            dataset_version=version,
            method="lora",
            task=spec.task,
            spec=spec.as_json(),
        )
        for name in ("reviews lora r8", LONG, "<b>bold</b> sweep 3")
    ]
    for job, after in ((jobs[0], "succeeded"), (jobs[1], "failed")):
        transitions.move(job, "queued", "starting", "worker w1")
        transitions.move(job, "starting", "running", "worker w1")
        said = "Out of GPU memory at step 3. Needed ~2.1 GiB more." if after == "failed" else ""
        code = "gpu_oom" if said else "finished"
        transitions.move(job, "running", after, "worker w1", reason_code=code, reason_sentence=said)
    transitions.act(jobs[2], bob, "cancel")
