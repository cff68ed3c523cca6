"""The ASGI door: live streams and chunks of uploads go to their own routes, the rest, unless too large, to Django."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")

from django.core.asgi import get_asgi_application

django_application = get_asgi_application()

from webapp.bodies import within_limits  # noqa: E402  (models are there only once Django is set up)
from webapp.datasets import upload_route  # noqa: E402
from webapp.jobs import live_route  # noqa: E402


async def application(scope: Any, receive: Any, send: Any) -> None:
    job_id = live_route.stream_of(scope)
    if job_id is not None:
        await live_route.serve(job_id, scope, receive, send)
    elif (upload_id := upload_route.upload_of(scope)) is not None:
        await upload_route.serve(upload_id, scope, receive, send)
    elif scope["type"] == "http":
        await within_limits(django_application, scope, receive, send)
    else:
        await django_application(scope, receive, send)
