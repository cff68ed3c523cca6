"""Fills a new site with what toy jobs need, and prints it as JSON: `python -m tests.faults.seed`.

Makes the tables, a person's API token, a base model and a dataset version whose files are stored but tiny.
"""

from __future__ import annotations

import json
import sys

import django
from django.core.management import call_command

django.setup()

from tests.conftest import TOY_SHAPE  # noqa: E402  (models exist only after setup)
from webapp.accounts.models import ApiToken, Membership, Role, Team, User  # noqa: E402
from webapp.basemodels.models import BaseModel, BaseModelState, Source  # noqa: E402
from webapp.datasets.models import Dataset, DatasetVersion, VersionState  # noqa: E402
from webapp.storing import store  # noqa: E402

CONFIG = b'{"model_type": "bert"}'
ROWS = b'{"text": "good", "label": "pos", "split": "train"}\n{"text": "bad", "label": "neg", "split": "eval"}\n'


def seed() -> dict[str, str | int]:
    call_command("migrate", interactive=False, verbosity=0)
    team, user = Team.objects.create(name="Weather", slug="weather"), User.objects.create_user("alice")
    Membership.objects.create(team=team, user=user, role=Role.MAINTAINER)
    _, secret = ApiToken.make(user, team, "faults")
    return {"token": secret.text, "base_model": _base_model().pk, "version": _version(team, user).pk}


def _base_model() -> BaseModel:
    stored = store("site/toy", [CONFIG])
    return BaseModel.objects.create(
        name="toy-bert",
        source=Source.STARTER,
        state=BaseModelState.READY,
        shape=TOY_SHAPE.as_json(),
        tasks=["text-classification"],
        parameters=20_000,
        files=[{"name": "config.json", "bytes": stored.bytes, "sha256": stored.sha256, "key": stored.key}],
    )


def _version(team: Team, user: User) -> DatasetVersion:
    stored = store(f"{team.pk}/toy", [ROWS])
    return DatasetVersion.objects.create(
        dataset=Dataset.objects.create(team=team, name="reviews", created_by=user),
        number=1,
        state=VersionState.READY,
        upload_name="reviews.jsonl",
        upload_key="",
        upload_bytes=len(ROWS),
        task="text-classification",
        labels={"neg": 1, "pos": 1},
        rows={"read": 2, "good": 2, "bad": 0, "train": 1, "eval": 1},
        sha256=stored.sha256,
        bytes=stored.bytes,
        file_key=stored.key,
    )


if __name__ == "__main__":
    sys.stdout.write(json.dumps(seed()))
