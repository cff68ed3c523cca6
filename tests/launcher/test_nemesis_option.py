"""`manage.py test --nemesis` is a command of its own: it wants seconds, and takes a seed."""

from __future__ import annotations

from pathlib import Path

from tests.launcher.test_refusals import manage


def test_the_nemesis_says_what_it_takes(tmp_path: Path) -> None:
    said = manage(tmp_path, "test", "--nemesis", "--help")
    assert said.returncode == 0
    assert all(word in said.stdout for word in ("seconds", "--seed", "--postgresql"))


def test_the_nemesis_wants_to_know_for_how_long(tmp_path: Path) -> None:
    said = manage(tmp_path, "test", "--nemesis")
    assert said.returncode == 2
    assert "seconds" in said.stderr
