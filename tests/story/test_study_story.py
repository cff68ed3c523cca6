"""A study in a real browser: its table, curves, front and claims, against the API's numbers."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from launcher.testing import find_chromium
from tests.story.browser import Browser, browsing
from tests.story.conftest import Shelf
from tests.story.stack import Stack, running_stack

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(
        find_chromium() is None and "CI" not in os.environ, reason="no Chromium here; apt install chromium"
    ),
]
TABS = ("1/?tab=table", "1/?tab=curves", "1/?tab=scores", "1/?tab=efficiency", "1/?tab=config", "2/?tab=samples")


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
    browser.page.goto(f"{browser.url}/studies/{tab}")
    figures = browser.page.locator('[data-figure]:has(script[type="application/json"])')
    for place in range(figures.count()):
        figures.nth(place).scroll_into_view_if_needed()
        expect(figures.nth(place).locator(".main-svg").first).to_be_visible()
    browser.glance(f"study-{tab.partition('=')[2]}")
    browser.complain()


def test_a_job_is_lit_on_all_figures_from_its_row_and_from_its_line(browser: Browser) -> None:
    page = browser.page
    page.goto(f"{browser.url}/studies/1/?tab=curves")
    expect(page.locator('[data-figure="eval-eval_accuracy"] .trace')).to_have_count(10)
    page.locator('tr[data-job="3"] a').focus()
    only_is_lit(browser, "3")
    page.locator('tr[data-job="3"] a').blur()
    expect(page.locator('[data-figure="loss"] .trace').first).to_have_css("opacity", "1")
    page.mouse.move(*place_on(browser, "loss-job-1"), steps=3)
    expect(page.locator("tr.lit")).to_have_count(1)
    only_is_lit(browser, page.locator("tr.lit").get_attribute("data-job") or "")
    expect(page.locator("[data-head]")).to_contain_text("At step")
    values = [float(text) for text in page.locator("[data-legend] tbody td.number").all_inner_texts()]
    assert values == sorted(values)
    page.mouse.move(0, 0)
    expect(page.locator("[data-head]")).to_have_text("Last loss")
    expect(page.locator("tr.lit")).to_have_count(0)
    browser.complain()


def only_is_lit(browser: Browser, job: str) -> None:
    for name in ("loss", "eval-eval_accuracy"):
        lines = browser.page.locator(f'[data-figure="{name}"] .trace')
        for place in range(lines.count()):
            own = re.search(rf"-job-{job}$", lines.nth(place).get_attribute("class") or "")
            expect(lines.nth(place)).to_have_css("opacity", "1" if own else "0.25")


def place_on(browser: Browser, uid: str) -> tuple[float, float]:
    """On the screen: the first point of a line in the figure of losses."""
    found: list[float] = browser.page.evaluate(
        """uid => {
            const plot = document.querySelector('[data-figure="loss"] .plot');
            const { left, top } = plot.getBoundingClientRect();
            const { xaxis, yaxis } = plot._fullLayout;
            const { x, y } = plot.data.find(trace => trace.uid === uid);
            return [left + xaxis._offset + xaxis.l2p(x[0]), top + yaxis._offset + yaxis.l2p(y[0])];
        }""",
        uid,
    )
    return found[0], found[1]


def test_the_points_of_the_front_are_the_apis_numbers(browser: Browser, planted: Stack) -> None:
    assert points_of_the_front(browser, 1) == points_of_the_api(planted, 1)


def points_of_the_front(browser: Browser, study: int) -> list[Any]:
    page = browser.page
    page.goto(f"{browser.url}/studies/{study}/?tab=efficiency")
    place = '[data-figure="front-trained-0"] .js-plotly-plot'
    page.wait_for_function("place => document.querySelector(place)?.data?.length > 0", arg=place, timeout=60_000)
    drawn = page.evaluate(
        "place => document.querySelector(place).data.filter(t => t.uid !== 'front')"
        ".flatMap(t => t.hovertext.map((name, i) => [name, t.x[i], t.y[i]]))",
        place,
    )
    return sorted(drawn)


def points_of_the_api(stack: Stack, study: int) -> list[Any]:
    groups = stack.api("get", f"studies/{study}").json()["groups"]
    return sorted([each["title"], each["trained_percent"], each["score"]["mean"]] for each in groups if each["score"])


def test_four_methods_are_trained_here_and_stand_on_the_front(browser: Browser, stack: Stack, shelf: Shelf) -> None:
    methods = ("lora", "bitfit", "houlsby", "full")
    wanted = {"methods": [{"method": each} for each in methods], "training": {"max_steps": 6}}
    answer = stack.api("post", "studies", json={"base_model": shelf.bert, "dataset_version": shelf.reviews, **wanted})
    assert answer.status_code == 201, answer.text
    study = answer.json()["id"]
    jobs = [job for group in stack.api("get", f"studies/{study}").json()["groups"] for job in group["jobs"]]
    assert len(jobs) == len(methods)
    for job in jobs:
        stack.wait_for_state(job, "succeeded", seconds=180)
    with browser.elsewhere(stack.url) as there:
        there.page.goto(stack.manage("signinlink", "--user", "admin", "--site", stack.url))
        there.page.get_by_role("button", name="Sign in").click()
        drawn = points_of_the_front(there, study)
        assert drawn == points_of_the_api(stack, study)
        assert len(drawn) == len(methods)
        answers = there.page.get_by_role("row").filter(has_text="Adapters answer 4 to 6 % slower")
        expect(answers).to_contain_text("inference time against the base model")
        expect(answers).to_contain_text("merged")
        two_are_compared(there, jobs[0], jobs[-1])


def two_are_compared(browser: Browser, one: int, other: int) -> None:
    """Jobs that were trained here, side by side: a line for each."""
    page = browser.page
    page.goto(f"{browser.url}/compare/?jobs={one},{other}&tab=curves")
    expect(page.get_by_role("heading", level=1)).to_have_text("Compare 2 jobs")
    loss = page.locator('[data-figure="loss"]')
    expect(loss.locator(".scatterlayer .trace")).to_have_count(2)


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
    browser.glance("page-" + path.strip("/").replace("/", "-").replace("?", "-").replace("=", "-").replace("&", "-"))
    browser.complain()
