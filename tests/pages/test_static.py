"""What is vendored is what it says it is; what the browser loads stays inside the policy."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from pathlib import Path
from typing import Any, get_args

import django_htmx
import pytest
from django.core.management import call_command
from playwright.sync_api import sync_playwright

from launcher.testing import find_chromium
from webapp.jobs.live import SILENCE_SECONDS
from webapp.jobs.metrics import NEVER_SMOOTHED
from workers.protocol import EventKind

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
        if path.parent.name == "reports":
            continue  # a file to take away: it stands for itself, and the site never shows it
        text = path.read_text()
        assert not re.search(r"<style", text), path
        assert not re.search(r"<script(?![^>]*\bsrc=)", text), path
        assert not re.search(r"\son\w+=|hx-on|\bjs:", text), path


def test_style_sheets_stay_within_their_budget() -> None:
    sheets = b"".join(path.read_bytes() for path in sorted((STATIC / "css").glob("*.css")))
    assert len(gzip.compress(sheets)) <= 20_000


LATER = re.compile(r'import\("\./([^"]+)"\)')
"""Loaded by the press that needs it."""


def loaded_later(modules: set[str]) -> set[str]:
    """By these modules, or by what they load later, all they import with them."""
    found, todo = set[str](), set(modules)
    while todo:
        later = LATER.findall((STATIC / "js" / todo.pop()).read_text())
        fresh = {each for name in later for each in loaded_with(name)} - found
        found |= fresh
        todo |= fresh
    return found


def loaded_with(name: str) -> set[str]:
    """The module and all it imports."""
    found, todo = set[str](), {name}
    while todo:
        found.add(module := todo.pop())
        todo |= set(re.findall(r'from "\./([^"]+)"', (STATIC / "js" / module).read_text())) - found
    return found


def test_no_page_loads_more_script_than_its_budget_leaving_plotly_aside() -> None:
    """Sent one by one: together with htmx at most 45 kB, compressed."""
    htmx = Path(django_htmx.__file__).parent / "static/django_htmx/htmx-2.min.js"
    everywhere = loaded_with("page.js")
    used = set[str]()
    for template in TEMPLATES.rglob("*.html"):
        entries = re.findall(r"{% static 'js/([^']+)' %}", template.read_text())
        modules = everywhere.union(*(loaded_with(entry) for entry in entries))
        paths = [htmx, *(STATIC / "js" / module for module in modules)]
        assert sum(len(gzip.compress(path.read_bytes())) for path in paths) <= 45_000, template
        used |= modules | loaded_later(modules)
    used |= set(re.findall(r'serviceWorker\?\.register\("/([^"]+)"\)', (STATIC / "js/page.js").read_text()))
    assert used >= {path.name for path in (STATIC / "js").glob("*.js")}, "a module that no page loads"


def in_script(module: str, pattern: str) -> str:
    found = re.search(pattern, (STATIC / "js" / module).read_text())
    assert found, (module, pattern)
    return found[1]


def test_what_scripts_repeat_of_the_server_is_the_same() -> None:
    """A live end that is smoothed or counted otherwise than its history would jump with the next reload."""
    never = in_script("store.js", r"SMOOTHED_NEVER = /\^\((.*)\)/")
    assert set(never.split("|")) == set(NEVER_SMOOTHED)
    assert int(in_script("stream.js", r"SILENT_MS = (\d+)")) > 2 * 1000 * SILENCE_SECONDS
    assert set(get_args(EventKind)) <= set(json.loads(in_script("stream.js", r"KINDS = (\[.*\]);")))


@pytest.mark.browser
@pytest.mark.skipif(find_chromium() is None, reason="no Chromium here; apt install chromium")
def test_plotly_css_is_what_this_plotly_would_insert() -> None:
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


@pytest.mark.slow
def test_hashed_modules_name_each_other_by_their_hashed_names(settings: Any, tmp_path: Path) -> None:
    settings.STATIC_ROOT = tmp_path
    settings.WHITENOISE_SKIP_COMPRESS_EXTENSIONS = ["js", "css", "svg", "map", "txt"]  # takes half a minute
    storages = {**settings.STORAGES, "staticfiles": {"BACKEND": "webapp.static_files.ModuleManifestStorage"}}
    settings.STORAGES = storages
    call_command("collectstatic", interactive=False, verbosity=0)
    names = {path.name for path in (tmp_path / "js").glob("*.js")}
    hashed = next(path for path in (tmp_path / "js").glob("job.*.js"))
    imported = re.findall(r'from "\./([^"]+)"', hashed.read_text())
    assert imported
    imported += [later for path in (tmp_path / "js").glob("menu.*.js") for later in LATER.findall(path.read_text())]
    assert all(re.fullmatch(r"\w+\.[0-9a-f]{12}\.js", name) and name in names for name in imported)
