"""Lays out a job's or inspection's folder from what the site lists: verified inputs, never more."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from workers.cache import Cache, DiskFull, inside
from workers.client import ArrivedDamaged, Claimed, SiteRefused, patiently
from workers.protocol import FileRef, InspectionFolder, JobFolder, JobSpec

DAMAGED_TRIES = 3
"""A file that arrives damaged so often is damaged where the site keeps it."""


class CheckpointUnreadable(Exception):
    """The checkpoint to resume from cannot be had whole; the attempt before it has another."""

    def __init__(self, step: int, why: str) -> None:
        super().__init__(f"The checkpoint at step {step:,} could not be read: {why}")
        self.step = step


class Fetcher:
    """Gets listed files from the site, through the cache. Raises SiteUnreachable past the limit or once given up."""

    def __init__(
        self,
        claimed: Claimed,
        cache: Cache,
        give_up: Callable[[], bool],
        limit_seconds: float,
        tell: Callable[[str], None],
    ) -> None:
        self._claimed, self._cache, self._give_up, self._limit_seconds = claimed, cache, give_up, limit_seconds
        self._tell = tell

    def link(self, files: tuple[FileRef, ...], into: Path, what: str) -> None:
        missing = sum(file.bytes for file in files if not self._cache.has(file))
        if missing:
            self._tell(f"Fetching {what}: {missing / 1e6:,.1f} MB.")
        into.mkdir(parents=True, exist_ok=True)
        for file in files:
            self._cache.link(file, into, self.download)

    def download(self, file: FileRef, target: Path) -> None:
        """Raises SiteRefused if the file is damaged at the site."""
        damaged = 0

        def once() -> None:
            nonlocal damaged
            try:
                self._claimed.download(file, target, self._give_up)
            except ArrivedDamaged as error:
                damaged += 1
                if damaged == DAMAGED_TRIES:
                    raise SiteRefused(0, "damaged", str(error), "") from error
                raise

        patiently(once, self._give_up, self._limit_seconds)


def prepare_job(folder: JobFolder, spec: JobSpec, checkpoint: dict[str, Any] | None, fetcher: Fetcher) -> None:
    """Write the spec, link rows and base model, fetch the checkpoint to resume from.

    Raises DiskFull, CheckpointUnreadable, and what the client raises.
    """
    for path in (folder.path, folder.checkpoints, folder.scratch):
        path.mkdir(parents=True)
    folder.spec.write_text(json.dumps(spec.as_json()))
    rows = FileRef(folder.dataset.name, spec.dataset.bytes, spec.dataset.sha256)
    fetcher.link((rows,), folder.path, f"dataset {spec.dataset.name} v{spec.dataset.number}")
    fetcher.link(spec.base_model.files, folder.base_model, f"base model {spec.base_model.name}")
    if checkpoint is not None:
        _fetch_checkpoint(folder, checkpoint, fetcher)


def _fetch_checkpoint(folder: JobFolder, checkpoint: dict[str, Any], fetcher: Fetcher) -> None:
    """Not through the cache: it is this attempt's to change and delete. Complete or absent, like the trainer's own."""
    torn = folder.path / "checkpoint.part"
    for listed in checkpoint["files"]:
        file = FileRef(listed["name"], listed["bytes"], listed["sha256"])
        target = inside(torn, file.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            fetcher.download(file, target)
        except SiteRefused as error:
            raise CheckpointUnreadable(checkpoint["step"], str(error)) from error
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise DiskFull("The worker's disk filled up while fetching the checkpoint to resume from.") from error
    torn.rename(folder.checkpoints / f"step-{checkpoint['step']:08d}")


def prepare_inspection(folder: InspectionFolder, question: dict[str, Any], files: list[Any], fetcher: Fetcher) -> None:
    for path in (folder.path, folder.output, folder.scratch):
        path.mkdir(parents=True)
    folder.question.write_text(json.dumps(question))
    listed = tuple(FileRef(file["name"], file["bytes"], file["sha256"]) for file in files)
    fetcher.link(listed, folder.inputs, "files to look at")
