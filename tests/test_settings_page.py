"""Every variable that the product reads from the environment stands on the page for operators."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "operating.md").read_text()
OURS = re.compile(r"\bDELTABOARD_[A-Z_]*[A-Z]\b")
READ = re.compile(r"""environ(?:\.get\(|\[)\s*"([A-Z][A-Z0-9_]+)""")
BETWEEN_OUR_PROCESSES = {
    "DELTABOARD_ATTEMPT",
    "DELTABOARD_EVENT_FD",
    "DELTABOARD_LIFELINE_SECONDS",
    "DELTABOARD_PLACE",
    "DELTABOARD_EMBEDDED",
    "DELTABOARD_SITE_URL",
}
"""Set by one of our programs for another; nobody else sets them."""


def read_by_us() -> set[str]:
    sources = [path.read_text() for room in ("webapp", "workers", "launcher") for path in (ROOT / room).rglob("*.py")]
    ours = {name for text in sources for name in OURS.findall(text)}
    return (ours | set(READ.findall((ROOT / "webapp/settings.py").read_text()))) - BETWEEN_OUR_PROCESSES


@pytest.mark.parametrize("name", sorted(read_by_us()))
def test_a_setting_is_documented(name: str) -> None:
    assert f"`{name}`" in PAGE
