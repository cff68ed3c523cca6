"""Folders that are complete or absent: files, then a manifest with their hashes, then the final name."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from workers.protocol import MANIFEST

PARTIAL = ".partial"
FILE_MODE = 0o644


def partial(final: Path) -> Path:
    """An empty folder to fill; `complete` turns it into `final`."""
    folder = final.with_name(f".{final.name}{PARTIAL}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def complete(folder: Path, final: Path, facts: dict[str, Any]) -> dict[str, Any]:
    """Write the manifest (`facts` and every file's bytes and sha256) last, and give the folder its name.

    Everything is on the disk before the name is: after a power cut the folder is whole or not there.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in files:
        # Some writers leave their files to the owner alone; whoever hands them out may be another user.
        path.chmod(FILE_MODE)
    listed = [_fact(path, folder) for path in files]
    manifest = {**facts, "files": listed}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    for path in (*files, folder / MANIFEST, folder):
        _to_disk(path)
    if final.exists():
        shutil.rmtree(final)
    folder.rename(final)
    _to_disk(final.parent)
    return manifest


def verified(folder: Path) -> dict[str, Any] | None:
    """The manifest, if the folder holds exactly what it says; None if anything is missing, cut or changed."""
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        good = all(_fact(folder / file["name"], folder) == file for file in manifest["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return manifest if good else None


def _fact(path: Path, folder: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"name": path.relative_to(folder).as_posix(), "bytes": path.stat().st_size, "sha256": digest}


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
