"""The loader files inside artifacts: torch and safetensors alone, no pickle, small, and exactly what trained."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from workers.training import loaders

LOADERS = sorted(path for path in loaders.FOLDER.glob("*.py") if path.stem != "__init__")


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    return names


@pytest.mark.parametrize("path", LOADERS, ids=lambda path: path.stem)
def test_a_loader_stands_alone(path: Path) -> None:
    assert imported(path) <= {"torch", "safetensors"} | sys.stdlib_module_names
    assert not imported(path) & {"pickle", "marshal", "importlib", "subprocess", "socket", "urllib"}
    assert "torch.load" not in path.read_text()
    assert len(path.read_text().splitlines()) < 150


@pytest.mark.parametrize("path", LOADERS, ids=lambda path: path.stem)
def test_an_artifact_gets_it_word_for_word(path: Path, tmp_path: Path) -> None:
    loaders.ship(path.stem, tmp_path)
    assert (tmp_path / loaders.NAME).read_bytes() == path.read_bytes()
