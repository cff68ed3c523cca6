"""Fills a site's queue and counts what its home page asks of the database: `python -m benchmarks.queue_filling JOBS`.

A process of its own for benchmarks.queue, which itself needs no Django. Prints one JSON object.
"""

from __future__ import annotations

import json
import os
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")
django.setup()

from django.conf import settings  # noqa: E402  (only after the settings are there)
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402

from webapp.accounts.models import Team, User  # noqa: E402
from webapp.basemodels.models import BaseModel  # noqa: E402
from webapp.datasets.models import DatasetVersion  # noqa: E402
from webapp.jobs.launching import Launch, launch  # noqa: E402


def fill(jobs: int) -> None:
    """So many jobs of one team, launched by its people in turn."""
    people = list(User.objects.order_by("pk"))
    team, model, version = Team.objects.get(), BaseModel.objects.get(), DatasetVersion.objects.get()
    for number in range(jobs):
        wanted = Launch(team=team, base_model=model, dataset_version=version, method="lora", training={"max_steps": 50})
        launch(people[number % len(people)], wanted)


def opened(path: str) -> dict[str, object]:
    """A signed-in person's cookie and how many queries a page of theirs makes."""
    browser = Client(HTTP_HOST="127.0.0.1")
    browser.force_login(User.objects.order_by("pk")[0], settings.AUTHENTICATION_BACKENDS[-1])
    browser.get(path)  # what is only made once does not count
    with CaptureQueriesContext(connection) as queries:
        answer = browser.get(path)
    assert answer.status_code == 200, answer
    name = settings.SESSION_COOKIE_NAME
    return {"cookie": name, "session": browser.cookies[name].value, "queries": len(queries)}


if __name__ == "__main__":
    fill(int(sys.argv[1]))
    sys.stdout.write(json.dumps(opened("/")))
