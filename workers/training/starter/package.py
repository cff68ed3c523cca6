"""Finds the fetched package of a starter entry and holds it against the pinned hash before anything opens it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from workers.training.base_model_folder import InspectionProblem


def package_file(inputs: Path, entry: dict[str, Any]) -> Path:
    """The one file in inputs/package/. Raises InspectionProblem where it is not the pinned one."""
    folder = inputs / "package"
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    if len(files) == 1:
        with files[0].open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == entry["sha256"]:
                return files[0]
    raise InspectionProblem(
        "starter.hash_differs",
        f"The package {entry['package']} {entry['version']} is not the file that the catalogue names.",
        "Ask for it again; if it stays so, the package index serves another file under this version.",
    )
