"""The first fine-tune without a mouse: from the sign-in link to a point of the curve, the ring always in sight."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from launcher.testing import find_chromium
from tests.story.browser import Browser, browsing
from tests.story.conftest import Shelf
from tests.story.stack import Stack

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(
        find_chromium() is None and "CI" not in os.environ, reason="no Chromium here; apt install chromium"
    ),
]
TABS_AT_MOST = 150
RINGED = """() => {
    if (document.activeElement === document.body) return null;
    const at = document.activeElement, ringed = at.closest('.choice') ?? at;
    const { outlineStyle, outlineWidth } = getComputedStyle(ringed);
    const box = ringed.getBoundingClientRect();
    const inView = box.bottom > 0 && box.top < innerHeight;
    return { ring: outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2, inView, html: at.outerHTML.slice(0, 120) };
}"""


@pytest.fixture(scope="module")
def browser(stack: Stack) -> Iterator[Browser]:
    expect.set_options(timeout=30_000)  # a busy machine draws late
    with browsing(stack.url) as browser:
        yield browser


def tab_to(page: Page, selector: str) -> None:
    """On with Tab until this is focused; whatever is focused on the way shows its ring, inside the window."""
    for _ in range(TABS_AT_MOST):
        page.keyboard.press("Tab")
        seen = page.evaluate(RINGED)
        if seen is None:
            continue  # from the last element the browser itself has its turn
        assert seen["ring"], seen["html"]
        assert seen["inView"], seen["html"]
        if page.evaluate("place => document.activeElement.matches(place)", selector):
            return
    raise AssertionError(f"{selector} is not reached with Tab")


def choose(page: Page, group: str, value: int) -> None:
    """A radio button of a group, by arrows; each choice swaps the form, and the focus stays."""
    chosen = page.locator(f"input[name={group}][value='{value}']")
    tab_to(page, f"input[name={group}]")
    for _ in range(10):
        if chosen.is_checked():
            return
        with page.expect_response(re.compile("/jobs/new/")):
            page.keyboard.press("ArrowDown")
        expect(page.locator(f"input[name={group}]:focus")).to_be_checked()
    raise AssertionError(f"{group} {value} is not reached with the arrows")


def test_a_job_is_launched_and_its_curve_read_with_keys_alone(browser: Browser, stack: Stack, shelf: Shelf) -> None:
    page = browser.page
    page.goto(stack.manage("signinlink", "--user", "admin", "--site", stack.url))
    page.keyboard.press("Enter")  # the one button has the focus
    page.wait_for_url(f"{stack.url}/")
    tab_to(page, "a.skip")
    expect(page.locator("a.skip")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.goto(f"{stack.url}/jobs/")
    tab_to(page, "a[href='/jobs/new/']")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/jobs/new/"))
    choose(page, "base_model", shelf.bert)
    choose(page, "dataset_version", shelf.reviews)
    expect(page.locator("input[name=method]:checked")).to_have_value("lora")
    tab_to(page, "#training-max_steps")
    page.keyboard.type("40")
    tab_to(page, "#launch .side .button.primary")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/jobs/\d+/"))
    expect(page.locator("[data-badge]")).to_contain_text("Succeeded", timeout=180_000)
    page.locator('[data-chart="loss"] .main-svg').first.wait_for(state="attached")
    tab_to(page, '[data-chart="loss"] .plot')
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#announce")).to_have_text(re.compile(r"^Step 2: train [\d.]+"))
    browser.complain()
