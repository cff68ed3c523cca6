"""Runs what the site does beside answering requests: the reconciler's loop, and a Celery worker for checks."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import close_old_connections

from webapp.celery import SITE_QUEUE
from webapp.datasets.vetting import free_interrupted_checks
from webapp.jobs.reconciling import Reconciler

CELERY = [
    *("-A", "webapp.celery", "worker", "-P", "threads", "-c", "1", "-Q", SITE_QUEUE, "-n", "site@%h"),
    *("--without-gossip", "--without-mingle", "-l", "warning"),
]


class Command(BaseCommand):
    help = "The reconciler and the site's own Celery worker; of several, one reconciler is active."

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        free_interrupted_checks()
        celery = subprocess.Popen([sys.executable, "-m", "celery", *CELERY])
        try:
            self._sweep_until(stop, celery)
        finally:
            celery.terminate()
            try:
                celery.wait(5)
            except subprocess.TimeoutExpired:
                celery.kill()

    def _sweep_until(self, stop: threading.Event, celery: subprocess.Popen[bytes]) -> None:
        reconciler = Reconciler()
        try:
            while not stop.wait(settings.TIMINGS.sweep_seconds):
                close_old_connections()
                reconciler.turn()
                if celery.poll() is not None:
                    raise SystemExit(f"The site's Celery worker ended with {celery.returncode}; starting afresh.")
        finally:
            reconciler.leave()
