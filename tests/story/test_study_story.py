"""A study in a real browser: its table, curves, front and claims, against the API's numbers."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from launcher.testing import find_chromium
from tests.story.browser import Browser, browsing
from tests.story.stack import Stack, running_stack

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(
        find_chromium() is None and "CI" not in os.environ, reason="no Chromium here; apt install chromium"
    ),
]
TABS = ("table", "curves", "scores", "efficiency", "config")


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("study") / "var", "--no-worker") as stack:
        stack.manage("shell", "-v", "0", "-c", "from tests.story import curves; curves.plant_study()")
        yield stack


@pytest.fixture(scope="module")
def browser(planted: Stack) -> Iterator[Browser]:
    expect.set_options(timeout=30_000)  # a busy machine draws late
    with browsing(planted.url) as browser:
        browser.page.goto(planted.sign_in_link)
        browser.page.get_by_role("button", name="Sign in").click()
        yield browser


@pytest.mark.parametrize("tab", TABS)
def test_every_tab_is_drawn_and_quiet(browser: Browser, tab: str) -> None:
    browser.page.goto(f"{browser.url}/studies/1/?tab={tab}")
    figures = browser.page.locator('[data-figure]:has(script[type="application/json"])')
    for place in range(figures.count()):
        figures.nth(place).scroll_into_view_if_needed()
        expect(figures.nth(place).locator(".main-svg").first).to_be_visible()
    browser.look(f"study-{tab}")
    browser.complain()


def test_the_points_of_the_front_are_the_apis_numbers(browser: Browser, planted: Stack) -> None:
    page = browser.page
    page.goto(f"{browser.url}/studies/1/?tab=efficiency")
    place = '[data-figure="front-trained-0"] .js-plotly-plot'
    page.wait_for_function("place => document.querySelector(place)?.data?.length > 0", arg=place, timeout=60_000)
    drawn = page.evaluate(
        "place => document.querySelector(place).data.filter(t => t.uid !== 'front')"
        ".flatMap(t => t.hovertext.map((name, i) => [name, t.x[i], t.y[i]]))",
        place,
    )
    groups = planted.api("get", "studies/1").json()["groups"]
    told = [[each["title"], each["trained_percent"], each["score"]["mean"]] for each in groups if each["score"]]
    assert sorted(drawn) == sorted(told)


def test_a_figure_is_taken_away_as_a_picture(browser: Browser) -> None:
    page = browser.page
    page.goto(f"{browser.url}/studies/1/?tab=efficiency")
    with page.expect_download() as waiting:
        page.locator('[data-figure="front-trained-0"] [data-save="png"]').click()
    assert waiting.value.path().read_bytes().startswith(b"\x89PNG")
    browser.complain()


@pytest.mark.parametrize("path", ["studies/", "studies/new/?suggested=1", "compare/", "compare/?jobs=1,2,3&tab=curves"])
def test_the_pages_around_it_are_quiet(browser: Browser, path: str) -> None:
    browser.page.goto(f"{browser.url}/{path}")
    browser.look("page-" + path.strip("/").replace("/", "-").replace("?", "-").replace("=", "-").replace("&", "-"))
    browser.complain()
