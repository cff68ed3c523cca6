"""A thousand spoiled files of each kind get an answer, whether or not the process that reads one dies of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.datasets.mutants import spoiled
from webapp.datasets.checking import check

pytestmark = pytest.mark.slow
FILES = 1_000
DEATHS_AT_MOST = 20


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_every_spoiled_file_gets_an_answer(kind: str, tmp_path: Path) -> None:
    """Case 71."""
    states: Counter[str] = Counter()
    deaths: list[int] = []
    first = 0
    while first < FILES:
        command = [sys.executable, "-m", "tests.datasets.mutants", kind, str(first), str(FILES)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        for number, state, wrong in map(json.loads, done.stdout.splitlines()):
            assert not wrong, f"{kind} {number}: {wrong}"
            states[state] += 1
            first = number + 1
        if first < FILES:
            deaths.append(first)
            first += 1
        assert len(deaths) <= DEATHS_AT_MOST, done.stderr[-2000:]
    assert states.total() + len(deaths) == FILES
    assert states["refused"] > 0, "no file was spoiled enough"
    for number in deaths:  # what kills its reader is refused by the service with a sentence
        (tmp_path / "upload").write_bytes(spoiled(kind, number))
        report = check(tmp_path / "upload", f"a.{kind}", tmp_path / "rows.jsonl")
        assert report.state == "refused"
        assert report.problems
