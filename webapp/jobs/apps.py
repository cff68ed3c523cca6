"""Registers the room with Django, and starts listening for new base models."""

from __future__ import annotations

from django.apps import AppConfig


class JobsConfig(AppConfig):
    name = "webapp.jobs"

    def ready(self) -> None:
        from webapp.jobs import signals  # noqa: F401  (models are there only now)
