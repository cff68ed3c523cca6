"""Registers the room with Django, and starts listening to changes of jobs' states."""

from __future__ import annotations

from django.apps import AppConfig


class NoticesConfig(AppConfig):
    name = "webapp.notices"

    def ready(self) -> None:
        from webapp.notices import signals  # noqa: F401  (models are there only now)
