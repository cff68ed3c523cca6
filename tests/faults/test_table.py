"""The fault table against the tests: every line is proven by a test that carries its number, or says why not here."""

from __future__ import annotations

import ast
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent.parent
LINES = range(1, 65)
NOT_HERE: dict[int, str] = {
    2: "not in this tree yet: kill -9 of the trainer alone",
    3: "not in this tree yet: death in the middle of a checkpoint",
    4: "not in this tree yet: death between a checkpoint's rename and its report",
    5: "not in this tree yet: death while the artifact is handed in",
    8: "not in this tree yet: a signal at every SQL statement",
    9: "not in this tree yet: a second SIGTERM",
    11: "not in this tree yet: eight claimers for 500 jobs; benchmarks/queue.py measures it",
    12: "not in this tree yet: one permit ten times",
    22: "not in this tree yet: SQLite locked for long; the nemesis does it",
    23: "not in this tree yet: PostgreSQL restarted",
    24: "not in this tree yet: few PostgreSQL connections",
    25: "not in this tree yet: disk full in a checkpoint",
    26: "not in this tree yet: disk full under the database",
    28: "not in this tree yet: no inodes left",
    29: "not in this tree yet: EIO from the disk",
    30: "not in this tree yet: a GPU that is full; the real one needs a GPU",
    31: "not in this tree yet: the machine's memory is full",
    32: "not in this tree yet: NaN",
    33: "not in this tree yet: a trainer that hangs",
    34: "not in this tree yet: a trainer that ignores SIGTERM",
    35: "not in this tree yet: a trainer that leaves nothing",
    36: "not in this tree yet: floods of output",
    38: "not in this tree yet: cancel and pause at every moment",
    39: "not in this tree yet: cancel against finish",
    40: "not in this tree yet: retry pressed ten times",
    47: "no S3 mock is among the packages; files in S3 go through django-storages, whose own retries these would test",
    48: "not in this tree yet: an artifact's byte flipped at rest",
    49: "not in this tree yet: a checkpoint damaged before a resume",
    50: "not in this tree yet: clocks",
    52: "100 people for ten minutes need a machine of their own; benchmarks/queue.py measures the queue's share",
    53: "belongs to signing in, which is not part of the queue",
    55: "not in this tree yet: one worker token twice",
    56: "not in this tree yet: two housekeepings as a test of its own; the nemesis does it",
    57: "not in this tree yet: a backup restored elsewhere",
    58: "not in this tree yet: everything killed at once",
    59: "not in this tree yet: team, dataset or user of a running job removed",
    62: "not in this tree yet: a pipe that says nonsense",
    63: "not in this tree yet: a grandchild holds the pipe",
    64: "not in this tree yet: a deaf worker",
}


@cache
def proven() -> dict[int, list[str]]:
    """For each line the tests that carry `@pytest.mark.fault(line)`, or stand in a file whose `pytestmark` does."""
    found: dict[int, list[str]] = defaultdict(list)
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.parse(path.read_text()).body:
            for line in _marks(node):
                name = getattr(node, "name", "the whole file")
                found[line].append(f"{path.relative_to(TESTS)}::{name}")
    return found


def _marks(node: ast.stmt) -> list[int]:
    """The lines that a test, a class of tests with its methods, or a file's `pytestmark` names."""
    if isinstance(node, ast.Assign):
        named = any(isinstance(target, ast.Name) and target.id == "pytestmark" for target in node.targets)
        return _lines_in(node.value) if named else []
    if isinstance(node, ast.ClassDef):
        own = [line for mark in node.decorator_list for line in _lines_in(mark)]
        return own + [line for part in node.body for line in _marks(part)]
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return [line for mark in node.decorator_list for line in _lines_in(mark)]
    return []


def _lines_in(expression: ast.expr) -> list[int]:
    return [
        argument.value
        for call in ast.walk(expression)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "fault"
        for argument in call.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, int)
    ]


@pytest.mark.parametrize("line", LINES)
def test_every_line_of_the_fault_table_is_proven_or_says_why_not(line: int) -> None:
    tests = proven().get(line, [])
    if line in NOT_HERE:
        assert not tests, f"line {line} is proven by {tests}: take it out of NOT_HERE"
    else:
        assert tests, f"no test carries @pytest.mark.fault({line})"


def test_the_table_has_no_other_lines() -> None:
    assert set(proven()) | set(NOT_HERE) == set(LINES)


def test_marks_are_found_wherever_they_may_stand() -> None:
    text = "pytestmark = [pytest.mark.slow, pytest.mark.fault(1)]\n"
    text += "class TestIt:\n    @pytest.mark.fault(2)\n    def test_a(self): ...\n"
    text += "@pytest.mark.fault(3)\n@pytest.mark.fault(4)\ndef test_b(): ...\nother = pytest.mark.fault(5)\n"
    assert [line for node in ast.parse(text).body for line in _marks(node)] == [1, 2, 3, 4]
