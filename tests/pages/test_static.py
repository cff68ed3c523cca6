"""What is vendored is what it says it is; what the browser loads stays inside the policy."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

from launcher.testing import find_chromium

STATIC = Path(__file__).resolve().parents[2] / "static"
VENDOR = STATIC / "vendor"
TEMPLATES = STATIC.parent / "templates"


def test_every_vendored_file_is_listed_with_its_hash_and_has_its_licence() -> None:
    listed = {each["file"]: each for each in json.loads((VENDOR / "VENDOR.json").read_text())}
    for name, each in listed.items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == each["sha256"], name
        assert (VENDOR / name).with_name("LICENSE").is_file(), name
    files = {str(path.relative_to(VENDOR)) for path in VENDOR.rglob("*") if path.is_file()}
    assert {name for name in files if not name.endswith(("LICENSE", "VENDOR.json"))} == set(listed)


def test_no_template_has_an_inline_script_or_style_element() -> None:
    for path in TEMPLATES.rglob("*.html"):
        text = path.read_text()
        assert not re.search(r"<style", text), path
        assert not re.search(r"<script(?![^>]*\bsrc=)", text), path
        assert not re.search(r"\son\w+=|hx-on|\bjs:", text), path


def test_style_sheets_stay_within_their_budget() -> None:
    import gzip

    sheets = b"".join(path.read_bytes() for path in sorted((STATIC / "css").glob("*.css")))
    assert len(gzip.compress(sheets)) <= 20_000


@pytest.mark.browser
@pytest.mark.skipif(find_chromium() is None, reason="no Chromium here; apt install chromium")
def test_plotly_css_is_what_this_plotly_would_insert() -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
        page = chromium.new_page()
        page.set_content("<div id=chart></div>")
        page.add_script_tag(path=VENDOR / "plotly/4.1.1/plotly-cartesian.min.js")
        page.evaluate("Plotly.newPlot('chart', [{x: [1, 2], y: [1, 2]}])")
        rules = page.evaluate(
            "[...document.getElementById('plotly.js-style-global').sheet.cssRules].map(r => r.cssText).join('\\n')"
        )
        chromium.close()
    assert (STATIC / "css/plotly.css").read_text().strip() == rules.strip()
