"""Runs the check of a waiting dataset version and stores what came out: rows, or problems by line."""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from contextlib import ExitStack, suppress
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from webapp.datasets.canonical import SAMPLE
from webapp.datasets.checking import Unwanted, check
from webapp.datasets.choices import CHECK, COLUMNS, SAVE, Choices
from webapp.datasets.models import DatasetVersion, VersionState
from webapp.datasets.problems import Problems
from webapp.datasets.proving import fits
from webapp.datasets.reading import Report
from webapp.datasets.sharing import forget_unneeded, locked_twin_of, twin_of
from webapp.datasets.signals import rows_stored
from webapp.outages import AWAY
from webapp.storing import Stored, forget_all, on_disk, sha256_of, store_file, take_in

CHECK_LEASE_MINUTES = 30
CHOSEN = tuple(Choices.__dataclass_fields__)
UPLOAD_KEPT_DAYS = 7
"""How long an upload that leaves something to choose can be read again."""
SCRATCH_KEPT_SECONDS = 24 * 3600
FACTS = (
    "state", "columns", "labels", "rows", "problems", "problems_total", "preview", "offers", "file_columns",
    "row_index", "reasons",
)  # fmt: skip
log = logging.getLogger(__name__)


def waiting_for_check() -> list[int]:
    """Versions in `checking` that no process holds."""
    free = Q(check_lease_until=None) | Q(check_lease_until__lt=timezone.now())
    return list(DatasetVersion.objects.filter(free, state=VersionState.CHECKING).values_list("pk", flat=True))


def free_interrupted_checks() -> None:
    """Housekeeping starts: whatever was being checked before was cut off, and may be taken up at once."""
    DatasetVersion.objects.filter(state=VersionState.CHECKING).update(check_lease_until=None)


def run_check(version_id: int) -> None:
    """Check one version, unless another process holds it or it is done."""
    free = Q(check_lease_until=None) | Q(check_lease_until__lt=timezone.now())
    mine = DatasetVersion.objects.filter(free, pk=version_id, state=VersionState.CHECKING)
    if mine.update(check_lease_until=timezone.now() + timedelta(minutes=CHECK_LEASE_MINUTES)) == 0:
        return
    version = DatasetVersion.objects.select_related("dataset").get(pk=version_id)
    (settings.VAR / "checks").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.VAR / "checks") as scratch:
        try:
            _check(version, Path(scratch))
        except Unwanted:
            log.info("the check of dataset version %s was ended: the version is gone", version_id)
        except Exception:
            log.exception("the check of dataset version %s failed", version_id)
            _finish(version, asdict(_our_fault(version.upload_name)), Path(scratch))


def _check(version: DatasetVersion, scratch: Path) -> None:
    destination, asked = scratch / "rows.jsonl", version.asked
    with ExitStack() as files:
        source = files.enter_context(on_disk(version.upload_key, scratch / "upload"))
        if version.upload_proof and not fits(source, version.upload_proof):
            _finish(version, asdict(_damaged(version.upload_name)), destination)
            return
        second = None
        if version.second_key and (asked.get("split") or {}).get("kind") == "file":
            second = files.enter_context(on_disk(version.second_key, scratch / "second")), version.second_name
        report = check(
            source,
            version.upload_name,
            destination,
            task=asked.get("task"),
            mapping=asked.get("mapping"),
            split=asked.get("split"),
            choices={name: asked[name] for name in CHOSEN if asked.get(name)} | {"step": version.step},
            second=second,
            still_wanted=partial(_still_wanted, version),
        )
    _finish(version, asdict(report), destination)


def _still_wanted(version: DatasetVersion, progress: dict[str, Any]) -> bool:
    """Whether the version is still there; if so, it tells how far its check is. Nobody ends a check by being away."""
    waiting = DatasetVersion.objects.filter(pk=version.pk, state=VersionState.CHECKING)
    try:
        return bool(waiting.update(progress=progress) if progress else waiting.exists())
    except AWAY:
        connection.close_if_unusable_or_obsolete()
        return True


def _damaged(name: str) -> Report:
    """The bytes in the bucket are not those that their sender announced."""
    problems = Problems(name)
    problems.error("upload_damaged", "The file that arrived is not the one that was announced.", "Upload it again.")
    return Report("refused", problems=problems.as_json(), problems_total=problems.total)


def _our_fault(name: str) -> Report:
    """The file may be fine: the machine that checks was not. An answer all the same, so nobody waits for ever."""
    problems = Problems(name)
    message = "The check could not be done on the site's machine."
    problems.error("check_failed", message, "Upload the file again; if this comes back, tell the site's admin.")
    return Report("refused", problems=problems.as_json(), problems_total=problems.total)


def _finish(version: DatasetVersion, report: dict[str, Any], rows: Path) -> None:
    team = version.dataset.team_id or "site"
    facts = _facts(version, report)
    for kind in ("problems", "remarks"):
        made = report[f"{kind}_file"]
        beside = rows.with_name(f"{rows.name}.{kind}")
        facts[f"{kind}_key"] = store_file(f"{team}/{kind}", beside).key if made else ""
    facts["sample"] = _stored_sample(f"{team}/versions", report["sample"], rows)
    facts["token_stats"] = None  # of other rows, or of these before they were saved
    own: Stored | None = None
    damaged: set[str] = set()
    ready = report["state"] == VersionState.READY
    with ExitStack() as undone:
        undone.callback(
            forget_all, {facts["problems_key"], facts["remarks_key"], facts["sample"].get("key", "")} - {""}
        )
        if ready:
            size, sha256 = rows.stat().st_size, sha256_of(rows)
            own = None if twin_of(version, sha256, size, damaged) else take_in(f"{team}/versions", rows)
        with transaction.atomic():
            if ready:
                twin = locked_twin_of(version, sha256, size, damaged)
                stored = twin or own or take_in(f"{team}/versions", rows)
                facts |= {"file_key": stored.key, "bytes": stored.bytes, "sha256": stored.sha256}
            mine = DatasetVersion.objects.filter(pk=version.pk, state=VersionState.CHECKING)
            taken = mine.update(**facts, check_lease_until=None, progress={})
        if taken:
            undone.pop_all()
    outdated = {version.problems_key, version.sample_key} if taken else set()
    if own and (not taken or facts["file_key"] != own.key):
        outdated.add(own.key)
    forget_all(outdated - {""})
    if taken and not _keeps_upload(report, facts["step"]):
        forget_upload(version)
    if taken and ready:
        rows_stored.send(DatasetVersion, version_id=version.pk)


def _stored_sample(prefix: str, told: dict[str, Any], rows: Path) -> dict[str, Any]:
    """Where the sample of a draft's rows lies; empty where there is none."""
    if not told:
        return {}
    return told | asdict(take_in(prefix, rows.with_name(rows.name + SAMPLE)))


def _facts(version: DatasetVersion, report: dict[str, Any]) -> dict[str, Any]:
    """What the report says, under the names of the model's fields."""
    facts = {name: report[name] for name in FACTS} | {name: report[name] or "" for name in ("format", "task")}
    facts |= {name: report[name] or {} for name in ("mapping", "split")}
    facts["found"] = report["found"] or version.found  # the look came before the check
    return facts | {"step": _step_after(version.step, report["state"])}


def _keeps_upload(report: dict[str, Any], step: str) -> bool:
    """Whether there is still something to choose, so that the file may be read again."""
    offered = report["state"] == VersionState.READY and any(each["fixes"] for each in report["problems"])
    return bool(offered or step or report["state"] == VersionState.NEEDS_CHOICE)


def _step_after(step: str, state: str) -> str:
    """Saved, it is no draft any more, nor where nothing can be made of the file; else what is wrong is shown."""
    if state == VersionState.READY or (step == COLUMNS and state == VersionState.REFUSED):
        return ""
    return CHECK if step == SAVE else step


def forget_upload(version: DatasetVersion) -> None:
    """Let the uploaded bytes go, unless another version still reads them."""
    now = DatasetVersion.objects.filter(pk=version.pk).first() or version  # discarded, meanwhile
    DatasetVersion.objects.filter(pk=version.pk).update(upload_key="", second_key="", sample={})
    forget_unneeded(now.upload_keys | ({now.sample_key} - {""}))


def clear_scratch() -> None:
    """Folders of checks whose process was killed: no check takes a day."""
    for folder in (settings.VAR / "checks").glob("*"):
        with suppress(FileNotFoundError):  # its check has just ended
            if folder.stat().st_mtime < time.time() - SCRATCH_KEPT_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)


def forget_old_uploads() -> None:
    """Uploads that wait for a choice are kept for some days only."""
    before = timezone.now() - timedelta(days=UPLOAD_KEPT_DAYS)
    old = DatasetVersion.objects.filter(created_at__lt=before).exclude(upload_key="")
    for version in old.exclude(state=VersionState.CHECKING)[:100]:
        forget_upload(version)
