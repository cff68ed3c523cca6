"""The help page knows every kind of problem that the check can find, and each problem leads to it."""

from __future__ import annotations

import ast
from pathlib import Path

from django.test import Client

from tests.conftest import Api, Cast
from tests.datasets.test_deciding import RAGGED, checked
from webapp.datasets import reading
from webapp.datasets.teaching import ANCHORS, CHAPTERS

ROOM = Path(reading.__file__).parent
CALLS = {"error", "warn", "notice", "refuse", "_refuse", "_error", "Fault"}
COMPUTED = {
    "no_trainable_tokens",
    "template_refuses",
    "parquet_damaged",
    "arrow_damaged",
    "bad_unicode_escape",
    "control_char",
    "nul_char",
}
"""Codes that no call names as they are."""


def codes_in_the_source() -> set[str]:
    found = set()
    for path in ROOM.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                first = [each.value for each in node.args[:2] if isinstance(each, ast.Constant)]
                found |= {each for each in first if name in CALLS and isinstance(each, str)}
            elif isinstance(node, ast.Tuple) and path.name == "chats.py" and len(node.elts) == 3:
                first = [each.value for each in node.elts[:1] if isinstance(each, ast.Constant)]
                found |= {each for each in first if isinstance(each, str) and each != "tool"}
    return {code for code in found if code.replace("_", "").isalnum() and code.islower()}


def test_every_kind_of_problem_has_one_chapter() -> None:
    explained = [code for chapter in CHAPTERS for code in chapter.kinds]
    assert sorted(explained) == sorted(set(explained))
    assert set(explained) == codes_in_the_source() | COMPUTED


def test_a_problem_leads_to_its_chapter(cast: Cast, bob_api: Api) -> None:
    version = checked(bob_api, "a.csv", RAGGED)
    docs = version["problems"][0]["docs"]
    assert docs == "/datasets/help/#csv"
    client = Client()
    client.force_login(cast.vera)
    page = client.get(docs).content.decode()
    assert f'id="{ANCHORS["ragged_row"]}"' in page
    assert "dataset.ragged_row" in page
    assert "1,000" in page
