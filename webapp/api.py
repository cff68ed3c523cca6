"""Mounts each room's API and holds what all share: who may call, the error shape, health."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import NinjaAPI, Status

from webapp import api_errors
from webapp.accounts.auth import BrowserAuth, TokenAuth
from webapp.basemodels.api import router as base_models
from webapp.datasets.api import dataset_versions, datasets
from webapp.datasets.drafts_api import drafts
from webapp.datasets.uploads_api import uploads
from webapp.jobs.api import estimates, jobs, methods, workers
from webapp.jobs.artifacts_api import artifacts
from webapp.jobs.health import health
from webapp.jobs.studies_api import studies
from webapp.jobs.tokens_api import tokens
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
api.add_router("dataset-versions", drafts)
api.add_router("dataset-versions", tokens)
api.add_router("uploads", uploads)
api.add_router("base-models", base_models)
api.add_router("methods", methods)
api.add_router("estimates", estimates)
api.add_router("jobs", jobs)
api.add_router("studies", studies)
api.add_router("artifacts", artifacts)
api.add_router("workers", workers)
api.add_router("notices", notices)


@api.get("healthz", auth=None, tags=["site"], response={200: dict[str, Any], 503: dict[str, Any]})
def healthz(request: HttpRequest) -> Any:
    """How the site fares: `ok`, `degraded` (it serves, something is missing), or `red` with 503."""
    found = health()
    return Status(503 if found.status == "red" else 200, found.as_json())
