"""The ASGI door: live streams and chunks of uploads go to their own routes, the rest, unless too large, to Django."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")

import django
from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest
from django.http.response import HttpResponseBase


class InOneThread(ASGIHandler):
    """Runs a request's middleware and view one after the other in one thread.

    All of them are synchronous, and what waits for long has its own route below. Django's own handler changes between
    threads for each middleware, which cost half of a request's processor time.
    """

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        return await sync_to_async(self.get_response)(request)


django.setup(set_prefix=False)
django_application = InOneThread()

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
