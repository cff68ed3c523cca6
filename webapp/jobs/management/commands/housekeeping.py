"""Runs what the site does beside answering requests: the reconciler's loop, and a Celery worker for checks."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import close_old_connections
from django.utils.module_loading import import_string

from webapp.celery import SITE_QUEUE
from webapp.datasets.vetting import free_interrupted_checks
from webapp.jobs.reconciling import Reconciler

log = logging.getLogger(__name__)
CELERY = [
    *("-A", "webapp.celery", "worker", "-P", "threads", "-c", "2", "-Q", SITE_QUEUE, "-n", "site@%h"),
    *("--without-gossip", "--without-mingle", "-l", "warning"),
]


class Command(BaseCommand):
    help = "The reconciler and the site's own Celery worker; of several, one reconciler is active."

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        reconciler = Reconciler()
        for step in (reconciler.look_after_files, *map(import_string, settings.HOUSEKEEPING)):
            threading.Thread(target=_again_and_again, args=(step, stop), daemon=True).start()
        free_interrupted_checks()
        bound = (sys.executable, "-m", "launcher.child", str(os.getpid()))  # it dies with us, whatever ends us
        celery = subprocess.Popen([*bound, sys.executable, "-m", "celery", *CELERY])
        try:
            self._sweep_until(stop, reconciler, celery)
        finally:
            celery.terminate()
            try:
                celery.wait(5)
            except subprocess.TimeoutExpired:
                celery.kill()

    def _sweep_until(self, stop: threading.Event, reconciler: Reconciler, celery: subprocess.Popen[bytes]) -> None:
        try:
            while not stop.wait(settings.TIMINGS.sweep_seconds):
                close_old_connections()
                reconciler.turn()
                if celery.poll() is not None:
                    raise SystemExit(f"The site's Celery worker ended with {celery.returncode}; starting afresh.")
        finally:
            reconciler.leave()


def _again_and_again(step: Callable[[], object], stop: threading.Event) -> None:
    """Once a round, whatever goes wrong; slow as it may be, the sweep does not wait for it."""
    while not stop.wait(settings.TIMINGS.sweep_seconds):
        close_old_connections()
        try:
            step()
        except Exception:
            log.exception("housekeeping: %s", step.__name__)
