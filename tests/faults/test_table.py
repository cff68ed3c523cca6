"""The fault table against the tests: every line is proven by a test that carries its number, or says why not here."""

from __future__ import annotations

import ast

import pytest

from tests.faults.proofs import as_text, marks_of, proven
from webapp.jobs.promises import PROMISES, PROOFS, Promise

LINES = range(1, 65)
NOT_HERE: dict[int, str] = {
    52: "speed is no test here: benchmarks/people.py measures a hundred people at once",
}
SHORTENED: dict[int, str] = {
    16: "full by `maxmemory`; MISCONF needs a full disk under the broker, and is the same kind of error to the site",
    41: "100 viewers instead of 200",
    42: "an older worker with a newer site; no migration in between",
    44: "200 sockets instead of 500",
    45: "40 MB, cut after two of six chunks; the memory of 5 GB is benchmarks/ingest.py's",
    50: "jumps of an hour; every moment is stored in UTC, so no change of summer time exists",
    51: "60 jobs; 1,000 are benchmarks/queue.py's, fair shares have their own tests",
    60: "seconds; twenty minutes on three seeds are run by hand before a release, see benchmarks/RESULTS.md",
}
"""Proven with less than the table says."""


@pytest.mark.parametrize("line", LINES)
def test_every_line_of_the_fault_table_is_proven_or_says_why_not(line: int) -> None:
    tests = proven().get(line, [])
    if line in NOT_HERE:
        assert not tests, f"line {line} is proven by {tests}: take it out of NOT_HERE"
    else:
        assert tests, f"no test carries @pytest.mark.fault({line})"


def test_only_proven_lines_are_shortened() -> None:
    assert set(SHORTENED) <= set(proven())


def test_the_table_has_no_other_lines() -> None:
    assert set(proven()) | set(NOT_HERE) == set(LINES)


def test_marks_are_found_wherever_they_may_stand() -> None:
    text = "pytestmark = [pytest.mark.slow, pytest.mark.fault(1)]\n"
    text += "class TestIt:\n    @pytest.mark.fault(2)\n    def test_a(self): ...\n"
    text += "@pytest.mark.fault(3)\n@pytest.mark.fault(4)\ndef test_b(): ...\nother = pytest.mark.fault(5)\n"
    assert [line for node in ast.parse(text).body for line in marks_of(node)] == [1, 2, 3, 4]


def test_the_promises_page_names_the_tests_as_they_are() -> None:
    assert PROOFS.read_text() == as_text(), "run: python -m tests.faults.proofs"


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: f"P{promise.number}")
def test_every_promise_has_its_proof_or_says_why_not(promise: Promise) -> None:
    assert any(proven().get(line) for line in promise.faults) or all(line in NOT_HERE for line in promise.faults)
