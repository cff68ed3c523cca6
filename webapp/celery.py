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
    broker_transport_options={
        **CELERY_SETTINGS["broker_transport_options"],
        "socket_connect_timeout": 1,
        "socket_timeout": 3,  # a frozen broker must not hold a request; longer than a consumer's wait of 1 s
    },
    task_publish_retry_policy={"max_retries": 1, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.2},
    broker_url=os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0"),
    task_default_queue=SITE_QUEUE,
    broker_connection_timeout=1,
    include=["webapp.datasets.tasks", "webapp.notices.tasks"],
)
