"""The cast: Alice maintains the team, Bob is a member of it, Vera may only look, Charlie is a stranger.

Root is the site's admin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from webapp.accounts.models import ApiToken, Membership, Role, Team, User
from webapp.basemodels.models import BaseModel, BaseModelState, Source
from webapp.datasets.models import Dataset, DatasetVersion, VersionState
from webapp.jobs.models import Job, Worker
from webapp.jobs.scheduling import Claim, Claimed, claim
from workers.methods.shape import Linear, Shape
from workers.protocol import JobSpec

if not settings.EMBEDDED:  # pages are drawn from the sources: nobody has collected static files for a test
    settings.STORAGES["staticfiles"]["BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"


@dataclass
class Cast:
    """People, their team and the stranger's."""

    alice: User
    bob: User
    vera: User
    charlie: User
    root: User
    team: Team
    other_team: Team


@pytest.fixture
def cast(db: Any) -> Cast:
    team, other = Team.objects.create(name="Weather", slug="weather"), Team.objects.create(name="Other", slug="other")
    people = {name: User.objects.create_user(name) for name in ("alice", "bob", "vera", "charlie")}
    for name, where, role in (
        ("alice", team, Role.MAINTAINER),
        ("bob", team, Role.MEMBER),
        ("vera", team, Role.VIEWER),
        ("charlie", other, Role.MAINTAINER),
    ):
        Membership.objects.create(user=people[name], team=where, role=role)
    root = User.objects.create_superuser("root")
    return Cast(**people, root=root, team=team, other_team=other)


@dataclass
class Api:
    """A program that calls the public API with one token."""

    client: Client
    token: str

    def __call__(self, method: str, path: str, data: Any = None, **extra: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.token}", **extra.pop("headers", {})}
        call = getattr(self.client, method)
        kind = (
            {} if data is None or method == "get" or extra.pop("form", False) else {"content_type": "application/json"}
        )
        return call(f"/api/v1/{path}", data, headers=headers, **kind, **extra)


def api_of(user: User, team: Team) -> Api:
    return Api(Client(), ApiToken.make(user, team, "test")[1].text)


@pytest.fixture
def bob_api(cast: Cast) -> Api:
    return api_of(cast.bob, cast.team)


@pytest.fixture
def charlie_api(cast: Cast) -> Api:
    return api_of(cast.charlie, cast.other_team)


TOY_SHAPE = Shape(
    model_type="bert",
    hidden=32,
    layers=2,
    feed_forward=64,
    heads=2,
    key_value=32,
    vocabulary=100,
    positions=64,
    parameters=20_000,
    tied_embeddings=False,
    linears=tuple(
        Linear(f"encoder.layer.{layer}.attention.self.{name}", role, layer, 32, 32, True)
        for layer in range(2)
        for name, role in (("query", "q"), ("key", "k"), ("value", "v"))
    ),
)


@pytest.fixture
def base_model(db: Any) -> BaseModel:
    """A shared base model whose check is done; its files exist on paper only."""
    return BaseModel.objects.create(
        name="toy-bert",
        source=Source.STARTER,
        state=BaseModelState.READY,
        shape=TOY_SHAPE.as_json(),
        tasks=["text-classification"],
        parameters=20_000,
        files=[{"name": "config.json", "bytes": 2, "sha256": "0" * 64, "key": "site/none"}],
    )


@pytest.fixture
def version(cast: Cast) -> DatasetVersion:
    """A checked dataset version of Bob's team."""
    dataset = Dataset.objects.create(team=cast.team, name="reviews", created_by=cast.bob)
    return DatasetVersion.objects.create(
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


@pytest.fixture
def job(cast: Cast, base_model: BaseModel, version: DatasetVersion) -> Job:
    return make_job(cast, base_model, version)


def make_job(cast: Cast, base_model: BaseModel, version: DatasetVersion, **fields: Any) -> Job:
    """A queued job of Bob's."""
    spec = JobSpec(0, "a job", "text-classification", base_model.as_reference(), version.as_reference(), "lora", {}, {})
    return Job.objects.create(
        **{
            "team": cast.team,
            "name": "a job",
            "created_by": cast.bob,
            "base_model": base_model,
            "dataset_version": version,
            "method": "lora",
            "task": "text-classification",
            "spec": spec.as_json(),
            **fields,
        }
    )


@pytest.fixture
def worker(db: Any) -> Worker:
    return Worker.objects.create(name="w1", boot_id="boot-1")


def claim_next(worker: Worker, claim_id: str = "claim-1", boot_id: str = "boot-1") -> Claimed | None:
    return claim(worker, Claim(claim_id=claim_id, boot_id=boot_id, slot=0, threads=1, devices=[]))
