"""The nemesis in small: the same run as `manage.py test --nemesis`, for a few seconds, and its arithmetic of growth."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.nemesis.checker import INVARIANTS, broken
from tests.nemesis.journal import Entry, read_journals
from tests.nemesis.running import run
from tests.nemesis.site import running_site
from tests.nemesis.soak import growth, slope_percent_an_hour


@pytest.mark.slow
@pytest.mark.fault(60)
def test_a_site_under_a_short_nemesis_keeps_every_promise(tmp_path: Path) -> None:
    """Four seconds with one fault; `manage.py test --nemesis 1200` is the whole of it."""
    with running_site(tmp_path / "site", workers=2) as site:
        evidence = run(site, seconds=4, seed=11, jobs=4, workers=2)
    assert broken(evidence) == {name: [] for name in INVARIANTS}
    assert len(evidence.jobs) >= 4
    assert any(entry.op == "fault" for entry in evidence.journal)


def sample(at: float, megabytes: float, pid: int = 7) -> Entry:
    more = {"pid": pid, "rss": int(megabytes * 1e6), "descriptors": 20}
    return Entry("nemesis", "sample", True, at, at, 1000 + at, more=more)


def test_growth_is_told_per_hour_and_without_the_warm_up() -> None:
    warm_up = [sample(second, 50 + second) for second in range(0, 60, 5)]
    after = [sample(second, 100 + second / 3600) for second in range(60, 300, 5)]
    slope = slope_percent_an_hour([*warm_up, *after])
    assert slope is not None
    assert abs(slope - 1.0) < 0.01


def test_the_longest_life_is_told() -> None:
    journal = [sample(0, 90, pid=1), sample(5, 91, pid=1), sample(6, 60, pid=2), sample(40, 61, pid=2)]
    assert growth(journal).startswith("longest life 34 s: 60 to 61 MB")
    assert growth([]) == "no sample"


def test_a_torn_last_line_of_a_journal_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"actor": "a", "op": "x", "ok": true, "t_sent": 1, "t_mono": 1, "wall": 1}\n{"actor": "a", "o'
    )
    assert [entry.op for entry in read_journals(tmp_path)] == ["x"]
