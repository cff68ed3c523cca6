"""The worker's Celery app: its messages are permits to run the best job, and nothing else comes through it."""

from __future__ import annotations

from celery import Celery

from workers.protocol import CELERY_SETTINGS

app = Celery("deltaboard")
app.conf.update(CELERY_SETTINGS)
app.conf.worker_enable_remote_control = False  # whoever reaches the broker must not steer workers
