"""Reads stored artifacts and checkpoints again, a share each sweep, so that damage is found before somebody needs them.

Damaged ones are marked and never handed out; nothing is mended here.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db.models import QuerySet

from webapp import clock
from webapp.jobs.models import Artifact, Checkpoint
from webapp.jobs.recording import say
from webapp.storing import chunks_of, open_stored

log = logging.getLogger(__name__)
DAY_SECONDS = 24 * 3600
SHARE_SECONDS = 0.5
"""Of reading in one sweep, so that nothing else waits for it."""


@dataclass
class Scrub:
    """One long reading, cut into shares: a file of many gigabytes goes on in the next sweep."""

    share_seconds: float = SHARE_SECONDS
    reading: Iterator[None] = field(default_factory=lambda: iter(()))
    newest_checkpoint: int = 0
    rest_until: float = 0.0

    def share(self) -> None:
        """Read for a moment. What has not been looked at for a day is due, the longest unseen first."""
        until = time.monotonic() + self.share_seconds
        while time.monotonic() < until:
            try:
                next(self.reading)
            except StopIteration:
                found = self._next_due()
                if found is None:
                    return
                self.reading = found

    def _next_due(self) -> Iterator[None] | None:
        due = Artifact.objects.filter(damaged_at=None, checked_at__lt=clock.in_seconds(-DAY_SECONDS))
        artifact = due.order_by("checked_at").first()
        if artifact is not None:
            return look_at_artifact(artifact)
        return self._next_checkpoint()

    def _next_checkpoint(self) -> Iterator[None] | None:
        """Checkpoints that somebody may still resume from, in turn; then a day's rest."""
        if time.monotonic() < self.rest_until:
            return None
        good = Checkpoint.objects.filter(damaged_at=None, pk__gt=self.newest_checkpoint)
        checkpoint = good.exclude(job__state="succeeded").order_by("pk").first()
        if checkpoint is None:
            self.newest_checkpoint, self.rest_until = 0, time.monotonic() + DAY_SECONDS
            return None
        self.newest_checkpoint = checkpoint.pk
        return look_at_checkpoint(checkpoint)


def look_at_artifact(artifact: Artifact) -> Iterator[None]:
    """Read all its files; at the end it is noted as checked, or as damaged."""
    row = Artifact.objects.filter(pk=artifact.pk)
    bad = yield from _read(artifact.files)
    if not bad:
        row.update(checked_at=clock.now())
    elif row.filter(damaged_at=None).update(checked_at=clock.now(), damaged_at=clock.now()):
        _tell(artifact.job_id, f"The {artifact.kind} artifact is damaged in storage: {bad}. It is not handed out.")


def look_at_checkpoint(checkpoint: Checkpoint) -> Iterator[None]:
    """Read all its files; a damaged one is marked, and the one before it takes its place."""
    bad = yield from _read(checkpoint.files)
    if bad:
        mark_damaged(Checkpoint.objects.filter(pk=checkpoint.pk), bad)


def mark_damaged(checkpoints: QuerySet[Checkpoint], what: str) -> None:
    """Nobody resumes from these any more; the job's log says so."""
    for checkpoint in checkpoints.filter(damaged_at=None):
        if Checkpoint.objects.filter(pk=checkpoint.pk, damaged_at=None).update(damaged_at=clock.now()):
            text = f"The checkpoint of step {checkpoint.step:,} cannot be used: {what}. The one before it is used."
            _tell(checkpoint.job_id, text)


def _read(files: list[dict[str, Any]]) -> Generator[None, None, str]:
    """Yields after each piece; returns what is wrong with the first bad file, or nothing."""
    for file in files:
        digest = hashlib.sha256()
        try:
            with open_stored(file["key"]) as opened:
                for chunk in chunks_of(opened):
                    digest.update(chunk)
                    yield
        except FileNotFoundError:
            return f"{file['name']} is gone"
        if digest.hexdigest() != file["sha256"]:
            return f"{file['name']} is not what was stored"
    return ""


def _tell(job_id: int, text: str) -> None:
    log.error("job %s: %s", job_id, text)
    say(job_id, "log", {"level": "error", "text": text})
