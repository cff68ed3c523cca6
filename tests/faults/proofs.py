"""Which tests prove which line of the fault table, read off their markers; the promises page shows them.

python -m tests.faults.proofs      writes webapp/jobs/proofs.json
"""

from __future__ import annotations

import ast
import json
from collections import defaultdict
from functools import cache
from pathlib import Path

from webapp.jobs.promises import PROOFS

TESTS = Path(__file__).resolve().parent.parent


@cache
def proven() -> dict[int, list[str]]:
    """For each line the tests that carry `@pytest.mark.fault(line)`, or stand in a file whose `pytestmark` does."""
    found: dict[int, list[str]] = defaultdict(list)
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.parse(path.read_text()).body:
            for line in marks_of(node):
                name = getattr(node, "name", "the whole file")
                found[line].append(f"{path.relative_to(TESTS)}::{name}")
    return found


def marks_of(node: ast.stmt) -> list[int]:
    """The lines that a test, a class of tests with its methods, or a file's `pytestmark` names."""
    if isinstance(node, ast.Assign):
        named = any(isinstance(target, ast.Name) and target.id == "pytestmark" for target in node.targets)
        return _lines_in(node.value) if named else []
    if isinstance(node, ast.ClassDef):
        own = [line for mark in node.decorator_list for line in _lines_in(mark)]
        return own + [line for part in node.body for line in marks_of(part)]
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


def as_text() -> str:
    """What stands in the file."""
    return json.dumps({str(line): sorted(tests) for line, tests in sorted(proven().items())}, indent=1) + "\n"


if __name__ == "__main__":
    PROOFS.write_text(as_text())
