"""The site: people, files, jobs, charts. Never sees torch."""

from webapp.celery import app as celery_app

__all__ = ["celery_app"]
