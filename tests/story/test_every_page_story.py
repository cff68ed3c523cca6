"""Every page there is, with data behind it, in both themes: axe finds nothing, no script fails, the policy holds;
and its screenshots are taken for people to look at.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from django.urls import get_resolver
from playwright.sync_api import expect

from launcher.testing import find_chromium
from tests.accounts.test_doors import addresses
from tests.story.browser import Browser, browsing
from tests.story.conftest import Shelf, launch
from tests.story.stack import Stack
from webapp.jobs.views.job_tabs import TABS

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(
        find_chromium() is None and "CI" not in os.environ, reason="no Chromium here; apt install chromium"
    ),
]
NOT_OURS = ("/admin/", "/api/")


def pages() -> list[str]:
    """All addresses; where a name is wanted, that of a method, and 1 for each number."""
    found = sorted(set(addresses(get_resolver().url_patterns)))
    return [each.replace("/x/", "/lora/") for each in found if not each.startswith(NOT_OURS)]


@pytest.fixture(scope="module")
def browser(stack: Stack, shelf: Shelf) -> Iterator[Browser]:
    """Signed in where a job has succeeded and a study waits."""
    job = launch(stack, shelf.bert, shelf.reviews, training={"max_steps": 4})
    stack.wait_for_state(job, "succeeded", seconds=180)
    expect.set_options(timeout=30_000)
    with browsing(stack.url) as browser:
        browser.page.goto(stack.manage("signinlink", "--user", "admin", "--site", stack.url))
        browser.page.get_by_role("button", name="Sign in").click()
        yield browser


def test_every_page_is_quiet_in_both_themes(browser: Browser) -> None:
    seen = 0
    for address in pages():
        answer = browser.page.request.get(browser.url + address, max_redirects=0)
        if answer.status != 200 or not answer.text().lower().startswith("<!doctype html"):
            continue  # takes only a POST, hands out a file or a part of a page, or leads on to another of these pages
        browser.page.goto(browser.url + address)
        browser.glance("page-" + (address.strip("/").replace("/", "-") or "home"))
        browser.complain()
        seen += 1
    assert seen > 25


def test_every_tab_of_a_job_is_quiet_in_both_themes(browser: Browser) -> None:
    for tab in TABS.keys() - {"samples"}:  # the job classifies
        browser.page.goto(f"{browser.url}/jobs/1/?tab={tab}")
        browser.glance(f"job-tab-{tab}")
        browser.complain()


def test_a_page_that_is_not_there_is_one_of_ours(browser: Browser) -> None:
    browser.page.goto(f"{browser.url}/jobs/999999/")
    expect(browser.page.get_by_role("heading", level=1)).to_be_visible()
    browser.faults.clear()  # Chromium notes the status as an error
    browser.glance("page-404")
    browser.complain()
