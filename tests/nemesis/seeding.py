"""Fills an empty site for a run: a team, its people with tokens, worker keys, a base model and a dataset version.

`python -m tests.nemesis.seeding PEOPLE WORKERS` prints one JSON object.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")
django.setup()

from django.conf import settings  # noqa: E402  (only after the settings are there)
from django.db import transaction  # noqa: E402
from django.test import Client  # noqa: E402

from tests.conftest import TOY_SHAPE  # noqa: E402
from webapp.accounts.models import ApiToken, Membership, Role, Team, User  # noqa: E402
from webapp.basemodels.models import BaseModel, BaseModelState, Source  # noqa: E402
from webapp.datasets.models import Dataset, DatasetVersion, VersionState  # noqa: E402
from webapp.jobs.enrolling import make_key  # noqa: E402
from webapp.storing import store  # noqa: E402

CSRF = secrets.token_hex(16)
ROWS = b'{"text": "good", "label": "pos", "split": "train"}\n'
CONFIG = b'{"model_type": "bert"}'


def base_model() -> BaseModel:
    stored = store("site/nemesis", [CONFIG])
    return BaseModel.objects.create(
        name="toy-bert",
        source=Source.STARTER,
        state=BaseModelState.READY,
        shape=TOY_SHAPE.as_json(),
        tasks=["text-classification"],
        parameters=20_000,
        bytes=stored.bytes,
        files=[{"name": "config.json", "bytes": stored.bytes, "sha256": stored.sha256, "key": stored.key}],
    )


def dataset_version(team: Team, owner: User) -> DatasetVersion:
    stored = store("nemesis/rows", [ROWS])
    dataset = Dataset.objects.create(team=team, name="reviews", created_by=owner)
    return DatasetVersion.objects.create(
        dataset=dataset,
        number=1,
        state=VersionState.READY,
        upload_name="reviews.jsonl",
        upload_key="",
        upload_bytes=stored.bytes,
        task="text-classification",
        labels={"neg": 500, "pos": 500},
        rows={"read": 1000, "good": 1000, "bad": 0, "train": 900, "eval": 100},
        file_key=stored.key,
        sha256=hashlib.sha256(ROWS).hexdigest(),
        bytes=stored.bytes,
    )


def cookies_of(admin: User) -> dict[str, str]:
    """Of a browser in which the site's admin is signed in: what is every team's is out of a token's reach."""
    browser = Client(HTTP_HOST="127.0.0.1")
    browser.force_login(admin, settings.AUTHENTICATION_BACKENDS[-1])
    session = browser.cookies[settings.SESSION_COOKIE_NAME].value
    return {settings.SESSION_COOKIE_NAME: session, settings.CSRF_COOKIE_NAME: CSRF}


def seed(people: int, workers: int) -> dict[str, object]:
    with transaction.atomic():
        team = Team.objects.create(
            name="Nemesis", slug="nemesis", queued_jobs_at_most=100_000, queued_jobs_a_person=100_000
        )
        admin = User.objects.create_superuser("person-0")
        users = [admin, *(User.objects.create_user(f"person-{number}") for number in range(1, people))]
        for user in users:
            Membership.objects.create(user=user, team=team, role=Role.MAINTAINER)
        return {
            "base_model": base_model().pk,
            "dataset_version": dataset_version(team, users[0]).pk,
            "tokens": [ApiToken.make(user, team, "nemesis")[1].text for user in users],
            "admin_cookies": cookies_of(admin),
            "csrf": CSRF,
            "worker_keys": [make_key(f"w{number}", embedded=True)[1] for number in range(workers)],
        }


if __name__ == "__main__":
    print(json.dumps(seed(int(sys.argv[1]), int(sys.argv[2]))))
