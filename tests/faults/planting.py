"""`python -m tests.faults.planting`: puts people, a worker and a running attempt into a fresh database."""

from __future__ import annotations

import json
import sys

import django

django.setup()

from webapp.accounts.models import ApiToken, Membership, Role, Team, User  # noqa: E402  (models need Django set up)
from webapp.basemodels.models import BaseModel, BaseModelState, Source  # noqa: E402
from webapp.datasets.models import Dataset, DatasetVersion, VersionState  # noqa: E402
from webapp.jobs import reporting  # noqa: E402
from webapp.jobs.models import Job, Worker  # noqa: E402
from webapp.jobs.scheduling import Claim, claim  # noqa: E402
from workers.methods.shape import Linear, Shape  # noqa: E402


def _shape() -> Shape:
    linear = Linear("encoder.layer.0.attention.self.query", "q", 0, 32, 32, True)
    return Shape("bert", 32, 1, 64, 2, 32, 100, 64, 20_000, False, (linear,))


def plant() -> dict[str, int | str]:
    """What the tests call with."""
    team = Team.objects.create(name="Weather", slug="weather")
    bob = User.objects.create_user("bob")
    Membership.objects.create(user=bob, team=team, role=Role.MEMBER)
    model = BaseModel.objects.create(
        name="toy-bert",
        source=Source.STARTER,
        state=BaseModelState.READY,
        shape=_shape().as_json(),
        tasks=["text-classification"],
        parameters=20_000,
        files=[{"name": "config.json", "bytes": 2, "sha256": "0" * 64, "key": "site/none"}],
    )
    dataset = Dataset.objects.create(team=team, name="reviews", created_by=bob)
    version = DatasetVersion.objects.create(
        dataset=dataset,
        number=1,
        state=VersionState.READY,
        upload_name="reviews.jsonl",
        upload_key="",
        upload_bytes=10,
        task="text-classification",
        labels={"neg": 50, "pos": 50},
        rows={"read": 100, "good": 100, "bad": 0, "train": 90, "eval": 10},
        sha256="1" * 64,
        bytes=10,
    )
    row = {"team": team, "created_by": bob, "base_model": model, "dataset_version": version}
    job = Job.objects.create(**row, name="a job", method="lora", task="text-classification", spec={})
    worker = Worker.objects.create(name="w1", boot_id="boot-1")
    claimed = claim(worker, Claim("c1", "boot-1", 0, 1, []))
    assert claimed is not None
    assert claimed.attempt is not None
    reporting.acknowledge(claimed.attempt)
    return {
        "attempt": claimed.attempt.pk,
        "attempt_token": claimed.token,
        "user_token": ApiToken.make(bob, team, "test")[1].text,
        "job": job.pk,
        "base_model": model.pk,
        "dataset_version": version.pk,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(plant()))
