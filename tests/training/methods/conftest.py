"""Trains each cell of the matrix once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.training import toys
from tests.training.architectures import ARCHITECTURES
from tests.training.methods.cells import Cell, Trained, trained
from tests.training.methods.loading import load_by_card

__all__ = ["load_by_card"]


@pytest.fixture(scope="session")
def base_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {name: make(tmp_path_factory.mktemp(name)) for name, (make, _) in ARCHITECTURES.items()}
    for name, (make, _) in ARCHITECTURES.items():
        made[f"wide {name}"] = make(tmp_path_factory.mktemp(f"wide-{name}"), width=toys.WIDE)
    return made


TrainCell = Callable[[Cell], Trained]


@pytest.fixture(scope="session")
def train_cell(tmp_path_factory: pytest.TempPathFactory, base_models: dict[str, Path]) -> TrainCell:
    """The trained cell; the last few are kept, since a cell's tests follow each other."""
    kept: dict[Cell, Trained] = {}

    def train(cell: Cell) -> Trained:
        if cell not in kept:
            kept.clear()
            kept[cell] = trained(tmp_path_factory.mktemp("cell"), base_models[cell.base], cell)
        return kept[cell]

    return train
