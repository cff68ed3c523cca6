"""The site's own Celery app: uploads are checked and the outbox is sent on it, and it publishes permits to workers."""

from __future__ import annotations

import os

from celery import Celery

from workers.protocol import CELERY_SETTINGS

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")

SITE_QUEUE = "site"

app = Celery("webapp")
app.conf.update(CELERY_SETTINGS)
app.conf.update(
    broker_url=os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0"),
    task_default_queue=SITE_QUEUE,
    broker_connection_timeout=1,
    include=["webapp.datasets.tasks", "webapp.notices.tasks"],
)
