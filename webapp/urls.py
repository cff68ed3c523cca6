"""Addresses of the site. The live stream stands beside Django, in asgi.py."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from webapp.api import api
from webapp.jobs.worker_api import worker_api
from webapp.offline import offline_page, offline_worker

urlpatterns = [
    path("", include("webapp.jobs.urls")),
    path("", include("webapp.accounts.urls")),
    path("datasets/", include("webapp.datasets.urls")),
    path("models/", include("webapp.basemodels.urls")),
    path("notices/", include("webapp.notices.urls")),
    path("offline/", offline_page),
    path("offline.js", offline_worker),
    path("admin/", admin.site.urls),
    path("api/v1/", api.urls),
    path("api/worker/", worker_api.urls),
]
handler400 = "webapp.errors.bad_request"
handler403 = "webapp.errors.forbidden"
handler404 = "webapp.errors.not_found"
handler500 = "webapp.errors.server_error"
