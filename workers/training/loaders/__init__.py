"""The loader files that are shipped inside artifacts of our own methods, word for word the code that trained them.

Each needs torch and safetensors alone, unpickles nothing and knows nothing of this project.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent
NAME = "load_delta.py"
"""What a loader is called inside an artifact."""


def ship(module: str, folder: Path) -> None:
    """Put the loader of this name into an artifact."""
    (folder / NAME).write_text((FOLDER / f"{module}.py").read_text(encoding="utf-8"), encoding="utf-8")
