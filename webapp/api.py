"""Mounts each room's API and holds what all share: who may call, the error shape, health."""

from __future__ import annotations

from typing import Any

from django.db import connection
from django.http import HttpRequest
from ninja import NinjaAPI

from webapp import api_errors
from webapp.accounts.auth import BrowserAuth, TokenAuth
from webapp.basemodels.api import router as base_models
from webapp.datasets.api import dataset_versions, datasets
from webapp.jobs.api import artifacts, jobs, methods, workers
from webapp.json_body import StrictParser
from webapp.notices.api import notices

api = NinjaAPI(
    title="Deltaboard",
    version="1",
    description="Everything a person can do in the browser, a program can do here.",
    auth=[TokenAuth(), BrowserAuth()],
    urls_namespace="api",
    parser=StrictParser(),
)
api_errors.install(api)
api.add_router("datasets", datasets)
api.add_router("dataset-versions", dataset_versions)
api.add_router("base-models", base_models)
api.add_router("methods", methods)
api.add_router("jobs", jobs)
api.add_router("artifacts", artifacts)
api.add_router("workers", workers)
api.add_router("notices", notices)


@api.get("healthz", auth=None, tags=["site"])
def healthz(request: HttpRequest) -> dict[str, Any]:
    """The site answers and reaches its database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return {"status": "ok"}
