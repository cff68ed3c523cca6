"""Keeps the newest checkpoint of a job whose files the site could not take, for the next attempt on this machine.

It is an ordinary complete checkpoint: whoever resumes from it makes the delta artifact again. Within a job only the
very next attempt may: another one's steps have taken the place of its own in the series by then.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

from workers.handing_in import STEP_PREFIX, is_complete, step_of

KEPT_SECONDS = 24 * 3600.0
MOST_JOBS = 3
ATTEMPT = "attempt"
"""A file with the number of the attempt that left the checkpoint beside it."""
log = logging.getLogger(__name__)


class Kept:
    """A folder with one checkpoint for each of the last few jobs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, job_id: int, attempt: int, checkpoints: Path) -> int | None:
        """Move an attempt's newest complete checkpoint here; its step, or None if there is none or no room."""
        newest = _newest(checkpoints)
        if newest is None:
            return None
        try:
            self.forget(job_id)
            target = self._of(job_id)
            target.mkdir(parents=True)
            (target / ATTEMPT).write_text(str(attempt))
            newest.rename(target / newest.name)
            self.tidy()
        except OSError as error:
            log.warning("The checkpoint of job %d could not be kept: %s", job_id, error)
            return None
        return step_of(newest)

    def take(self, job_id: int, after_step: int, checkpoints: Path, attempt: int | None = None) -> int | None:
        """Move what was kept of this job into its new folder if it is newer; its step. `attempt`: only of that one."""
        newest = _newest(self._of(job_id))
        if newest is None or step_of(newest) <= after_step or attempt not in (None, self._made_by(job_id)):
            self.forget(job_id)
            return None
        newest.rename(checkpoints / newest.name)
        self.forget(job_id)
        return step_of(newest)

    def forget(self, job_id: int) -> None:
        shutil.rmtree(self._of(job_id), ignore_errors=True)

    def tidy(self, now: float | None = None) -> None:
        """Only the last few, and none for longer than a day."""
        found = sorted(self._folder.glob("*"), key=lambda path: path.stat().st_mtime, reverse=True)
        limit = (time.time() if now is None else now) - KEPT_SECONDS
        for place, path in enumerate(found):
            if place >= MOST_JOBS or path.stat().st_mtime < limit:
                shutil.rmtree(path, ignore_errors=True)

    def _made_by(self, job_id: int) -> int:
        """The number of the attempt that left it; 0 where that cannot be read."""
        try:
            return int((self._of(job_id) / ATTEMPT).read_text())
        except (OSError, ValueError):
            return 0

    def _of(self, job_id: int) -> Path:
        return self._folder / str(job_id)


def _newest(folder: Path) -> Path | None:
    complete: list[Path] = []
    with suppress(OSError, ValueError):
        found = [path for path in folder.glob(f"{STEP_PREFIX}*") if is_complete(path) and os.access(path, os.R_OK)]
        complete = sorted(found, key=step_of)
    return complete[-1] if complete else None
