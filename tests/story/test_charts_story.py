"""The job page's charts in a real browser: marks, states, menus, keyboard, the address, the live end, the budgets."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import APIResponse, Route, expect

from launcher.testing import find_chromium
from tests.faults.chaos_proxy import ChaosProxy, Rule
from tests.story.browser import Browser, browsing
from tests.story.charts import (
    HIDE,
    NOTE_DRAWING,
    both_places_free,
    card,
    continue_running,
    drawn,
    drawn_places,
    job_of,
    newest_step,
    open_job,
    shows_step,
    streaming,
)
from tests.story.stack import Stack, running_stack

HISTORY = re.compile(r"/metrics\?")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(
        find_chromium() is None and "CI" not in os.environ, reason="no Chromium here; apt install chromium"
    ),
]


@pytest.fixture(scope="module")
def curves(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack without a worker and with room for two live streams, with jobs planted in it."""
    var = tmp_path_factory.mktemp("curves") / "var"
    with running_stack(var, "--no-worker", DELTABOARD_LIVE_STREAMS="2") as stack:
        stack.manage("shell", "-v", "0", "-c", "from tests.story import curves; curves.plant()")
        yield stack


@pytest.fixture(scope="module")
def browser(curves: Stack) -> Iterator[Browser]:
    expect.set_options(timeout=30_000)  # a busy machine draws late
    with browsing(curves.url) as browser:
        browser.page.goto(curves.sign_in_link)
        browser.page.get_by_role("button", name="Sign in").click()
        yield browser


def test_a_disturbed_job_shows_its_seam_its_tail_its_nan_its_best_and_its_end(browser: Browser, curves: Stack) -> None:
    page = open_job(browser, curves, "disturbed")
    loss = drawn(page)
    assert "attempt 2, resumed from 500" in loss["texts"]
    assert "NaN at step 412" in loss["texts"]
    assert {"best", "succeeded", "▴"} <= set(loss["texts"])
    assert "loss-discarded-1" in loss["uids"]
    assert "▲ max 6.6 at 150" in drawn(page, "grad_norm")["texts"]
    browser.look("charts-disturbed")
    browser.complain()


def test_what_a_lost_attempt_had_stays_in_sight_while_the_next_begins_anew(browser: Browser, curves: Stack) -> None:
    page = open_job(browser, curves, "lost early")
    assert "loss-discarded-1" in drawn(page)["uids"]
    assert card(page, "loss").get_attribute("data-state") == "drawn"


def test_x_never_goes_backwards_within_a_trace(browser: Browser, curves: Stack) -> None:
    page = open_job(browser, curves, "disturbed")
    drawn(page)
    assert page.evaluate(
        """document.querySelector('[data-chart="loss"] .js-plotly-plot').data.every(
            t => [...t.x].every((x, i, xs) => i === 0 || x > xs[i - 1]))"""
    )


def test_a_hundred_thousand_steps_open_at_once_and_no_spike_is_lost(browser: Browser, curves: Stack) -> None:
    page = open_job(browser, curves, "long")
    loss = drawn(page)
    assert drawn_places(page)[-1] == 100_000
    assert "▲ max 9.0 at 43,300" in loss["texts"]  # its bucket is drawn at its last step
    lengths = page.evaluate("document.querySelector('[data-chart=\"loss\"] .js-plotly-plot').data.map(t => t.x.length)")
    assert lengths == [2000, 1000, 0]  # lowest and highest of each bucket, the smoothed line, no evaluation
    page = open_job(browser, curves, "long", "?zoom=43000~43400")
    page.wait_for_function(
        """() => document.querySelector('[data-chart="loss"] .js-plotly-plot')?.data?.[1]?.x
            .filter(x => x >= 43000 && x <= 43400).length === 401"""
    )
    assert "▲ max 9.0 at 43,210" in drawn(page)["texts"]
    browser.complain()


def test_every_axis_draws_and_stands_in_the_address(browser: Browser, curves: Stack) -> None:
    page = open_job(browser, curves, "disturbed")
    for axis in ("epoch", "time", "wall", "tokens"):
        page.locator("#x-axis").select_option(axis)
        expect(page).to_have_url(re.compile(f"axis={axis}"))
        page.wait_for_function(
            "kind => document.querySelector('[data-chart=\"loss\"] .js-plotly-plot')?.layout?.xaxis?.type === kind",
            arg="date" if axis == "wall" else "linear",
        )
    page.reload()
    expect(page.locator("#x-axis")).to_have_value("tokens")
    assert drawn(page)["last"] == pytest.approx(1000 * 2048)
    browser.complain()


def test_a_copied_address_shows_the_same_picture(browser: Browser, curves: Stack) -> None:
    page = open_job(browser, curves, "disturbed", "?smooth=0.9&zoom=100~300&log=loss&outliers=0&y.grad_norm=0~2")
    loss = drawn(page)
    assert loss["y"]["type"] == "log"
    assert loss["x"]["range"] == [100, 300]
    assert drawn(page, "grad_norm")["y"]["range"] == [0, 2]
    expect(page.locator("#smoothing-number")).to_have_value("0.90")
    expect(page.locator("#following")).to_have_text("Paused at zoom")
    page.locator("#following").click()
    expect(page).not_to_have_url(re.compile("zoom="))
    browser.complain()


def test_the_menu_gives_picture_csv_and_table_and_enlarges(browser: Browser, curves: Stack, tmp_path: Path) -> None:
    page = open_job(browser, curves, "disturbed")
    drawn(page)
    loss = card(page, "loss")
    for format, start in (("png", b"\x89PNG"), ("svg", b"<svg")):
        loss.locator("details.menu summary").click()
        with page.expect_download() as waiting:
            loss.locator(f"[data-{format}]").click()
        waiting.value.save_as(tmp_path / format)
        assert (tmp_path / format).read_bytes().startswith(start)
    loss.locator("details.menu summary").click()
    with page.expect_download() as waiting:
        loss.locator("[data-csv]").click()
    waiting.value.save_as(tmp_path / "csv")
    head = (tmp_path / "csv").read_text().splitlines()[0]
    assert "loss" in head
    assert "debiased exponential average, weight 0.6" in head
    loss.locator("details.menu summary").click()
    loss.locator("[data-table]").click()
    expect(page.get_by_role("dialog")).to_contain_text("1,000")
    page.get_by_role("button", name="Close").click()
    loss.locator("details.menu summary").click()
    loss.locator("[data-enlarge]").click()
    loss.get_by_role("button", name="Zoom in").click()
    expect(page).to_have_url(re.compile(r"zoom=.*big=loss|big=loss.*zoom="))
    browser.glance("charts-enlarged")
    browser.complain()


def test_charts_are_pinned_hidden_and_looked_for_and_a_point_leads_to_its_checkpoint(
    browser: Browser, curves: Stack
) -> None:
    page = open_job(browser, curves, "disturbed", "?pin=accuracy&hide=memory&gap=loss")
    assert "gap" in drawn(page)["uids"]
    accuracy = card(page, "accuracy")
    assert page.locator("[data-chart]").first.get_attribute("data-chart") == "accuracy"
    expect(card(page, "memory")).to_be_hidden()
    page.locator("#show-hidden").click()
    expect(card(page, "memory")).to_be_visible()
    accuracy.locator("details.menu summary").click()
    accuracy.locator("[data-hide]").click()
    expect(page.locator("#show-hidden")).to_be_focused()
    expect(page).to_have_url(re.compile("hide=accuracy"))
    page.reload()
    expect(accuracy).to_be_hidden()
    page.locator("#find-chart").fill("gradient")
    expect(page.locator("[data-chart]:visible")).to_have_count(1)
    page.locator("#find-chart").fill("no such chart")
    expect(page.locator("#no-chart")).to_be_visible()
    page.locator("#show-hidden").click()
    page.locator("#find-chart").fill("")
    drawn(page, "accuracy")
    plot = accuracy.locator(".plot")
    plot.focus()
    for _ in range(6):
        page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    expect(page.locator("#announce")).to_have_text("No checkpoint was saved at step 400.")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"tab=checkpoints#step-500"))
    browser.complain()


def test_one_chart_may_be_smoothed_in_its_own_way(browser: Browser, curves: Stack) -> None:
    page = open_job(browser, curves, "disturbed")
    drawn(page)
    loss = card(page, "loss")
    loss.locator("details.menu summary").click()
    loss.locator("[data-weight]").fill("0.95")
    loss.locator("[data-weight]").press("Enter")
    expect(loss.locator("[data-smoothing]")).to_have_text(re.compile("0.95"))
    expect(page).to_have_url(re.compile(r"w.loss=0.95"))
    loss.locator("[data-forget]").click()
    expect(loss.locator("[data-smoothing]")).to_have_text(re.compile("0.60"))
    browser.complain()


def test_points_are_read_by_keyboard_and_the_hair_stands_on_every_card(browser: Browser, curves: Stack) -> None:
    page = open_job(browser, curves, "disturbed")
    drawn(page)
    drawn(page, "learning_rate")
    card(page, "loss").locator(".plot").focus()
    page.keyboard.press("Home")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#announce")).to_have_text(re.compile(r"^Step 10: train [\d.]+, smoothed [\d.]+$"))
    card(page, "learning_rate").scroll_into_view_if_needed()  # on cards that are seen
    expect(card(page, "learning_rate").locator(".cross")).to_be_visible()
    expect(card(page, "learning_rate").locator("[data-now]")).to_have_text("3.3e-5")
    page.keyboard.press("Escape")
    expect(card(page, "learning_rate").locator(".cross")).to_be_hidden()
    browser.complain()


def test_a_card_without_a_curve_says_why(browser: Browser, curves: Stack) -> None:
    page = open_job(browser, curves, "waiting")
    expect(card(page, "loss").locator(".state")).to_contain_text("First point expected at step 1")
    browser.look("charts-waiting")
    open_job(browser, curves, "point")
    expect(card(page, "loss").locator(".stat")).to_contain_text("at step 1")
    expect(card(page, "accuracy").locator(".state")).to_contain_text("has no eval split")
    expect(card(page, "accuracy").get_by_role("link", name="Clone with an eval split")).to_be_visible()
    browser.glance("charts-one-point")
    browser.complain()


def test_the_gallery_has_every_state_and_axe_finds_nothing(browser: Browser, curves: Stack) -> None:
    page = browser.page
    page.goto(f"{browser.url}/gallery/")
    for state in ("loading", "by-axis", "error"):
        card(page, f"gallery-{state}").scroll_into_view_if_needed()  # a card far from view waits
    expect(card(page, "gallery-error").get_by_role("button", name="Try again")).to_be_visible()
    card(page, "gallery-by-axis").get_by_role("button", name="Use Step").click()
    drawn(page, "gallery-by-axis")
    assert "NaN at step 31" in drawn(page, "gallery-odd")["texts"]
    assert "failed" in drawn(page, "gallery-failed")["texts"]
    assert page.locator(".modebar").count() == page.get_by_text("Share chart").count() == 0
    browser.look("gallery")
    browser.complain()


def test_history_that_does_not_come_is_said_and_asked_for_again(browser: Browser, curves: Stack) -> None:
    page = browser.page
    page.route(HISTORY, lambda route: route.fulfill(status=503, json={"error": {"ref": "7F3A"}}))
    try:
        open_job(browser, curves, "disturbed")
        expect(card(page, "loss").locator(".state")).to_contain_text("Could not load this metric (7F3A).")
    finally:
        page.unroute(HISTORY)
    card(page, "loss").get_by_role("button", name="Try again").click()
    drawn(page)
    browser.faults.clear()  # Chromium notes the status as an error


def test_the_live_end_grows_and_a_zoom_survives_it(browser: Browser, curves: Stack) -> None:
    page = open_job(browser, curves, "running")
    step = newest_step(curves)
    assert drawn(page)["last"] == step
    continue_running(curves, step + 1, step + 30)
    shows_step(page, step + 30)
    page.locator('[data-chart="loss"] .plot').hover(position={"x": 200, "y": 60})
    page.mouse.down()
    page.mouse.move(500, 200, steps=3)
    page.mouse.up()
    expect(page).to_have_url(re.compile("zoom="))
    page.locator('[data-chart="loss"] .plot').dblclick(position={"x": 200, "y": 60})
    expect(page).not_to_have_url(re.compile("zoom="))
    open_job(browser, curves, "running", "?zoom=50~150")
    drawn(page)
    continue_running(curves, step + 31, step + 50)
    shows_step(page, step + 50)
    assert drawn(page)["x"]["range"] == [50, 150]
    browser.complain()


def test_points_that_come_while_the_history_is_fetched_anew_are_kept(browser: Browser, curves: Stack) -> None:
    page = open_job(browser, curves, "running")
    drawn(page)
    step = newest_step(curves)
    held: list[tuple[Route, APIResponse]] = []
    page.route(HISTORY, lambda route: held.append((route, route.fetch())))
    try:
        page.locator("#smoothing").press("ArrowRight")
        for _ in range(600):
            if held:
                break
            page.wait_for_timeout(50)
        continue_running(curves, step + 1, step + 10)
        shows_step(page, step + 10)
        [(route, answer)] = held
        with page.expect_response(HISTORY):
            route.fulfill(response=answer)
    finally:
        page.unroute(HISTORY)
    continue_running(curves, step + 11, step + 20)
    shows_step(page, step + 20)
    assert drawn_places(page) == list(range(1, step + 21))
    browser.complain()


def test_two_tabs_share_one_stream_and_a_cut_line_leaves_no_gap(browser: Browser, curves: Stack) -> None:
    """Through a proxy that can cut; the site has room for two streams, so tabs that held one each would fill it."""
    job = job_of(curves, "running")
    browser.page.goto("about:blank")
    with ChaosProxy(int(curves.url.rsplit(":", 1)[1])) as line:
        context = browser.page.context
        tabs = [context.new_page(), context.new_page()]
        for tab in tabs:
            tab.goto(f"{line.url}/jobs/{job}/")
            drawn(tab)
            expect(tab.locator("#live")).to_have_attribute("data-state", "live")
        with streaming(curves, job) as status, streaming(curves, job) as beyond:
            assert (status, beyond) == (200, 503)
        line.add(Rule(path="/events", reset=True))
        line.reset_all()
        step = newest_step(curves)
        continue_running(curves, step + 1, step + 20)
        for tab in tabs:
            expect(tab.locator("#live")).to_have_attribute("data-state", "offline")
        line.heal()
        for tab in tabs:
            shows_step(tab, step + 20)
            assert drawn_places(tab) == list(range(1, step + 21))
        tabs.pop(0).close()
        continue_running(curves, step + 21, step + 30)
        shows_step(tabs[0], step + 30)
        tabs[0].close()


def test_new_points_are_drawn_twice_a_second_and_never_while_hidden(browser: Browser, curves: Stack) -> None:
    page = open_job(browser, curves, "running")
    drawn(page)
    page.evaluate(NOTE_DRAWING)
    step = newest_step(curves)
    continue_running(curves, step + 1, step + 30, "trickle")
    shows_step(page, step + 30)
    times = page.evaluate("__drawn")
    assert len(times) <= 2 + 2 * (times[-1] - times[0]) / 1000
    page.evaluate(HIDE, True)
    job = job_of(curves, "running")
    curves.wait_for("the stream to be closed", lambda: both_places_free(curves, job), 10)
    page.evaluate("__drawn.length = 0")
    continue_running(curves, step + 31, step + 40)
    assert page.evaluate("__drawn.length") == 0
    page.evaluate(HIDE, False)
    shows_step(page, step + 40)
    assert drawn_places(page) == list(range(1, step + 41))
    browser.complain()


def test_a_silent_training_and_a_lost_connection_are_said(browser: Browser, curves: Stack) -> None:
    page = open_job(browser, curves, "running")
    drawn(page)
    silent = re.compile("Last point .* ago. Worker heartbeat")
    expect(page.locator("#chart-news")).to_contain_text(silent, timeout=45_000)  # said after 30 seconds of silence
    plain = page.context.new_page()
    plain.add_init_script("delete globalThis.SharedWorker")  # the page's own stream, which can be intercepted
    plain.route(re.compile(r"/events\b"), lambda route: route.abort())
    plain.goto(page.url)
    expect(plain.locator("#chart-news")).to_contain_text("connection lost")
    assert drawn(plain)["last"] >= 300
    Browser(plain, browser.url).glance("charts-offline", ours=False)
    plain.unroute_all()
    plain.get_by_role("button", name="Retry now").click()
    expect(plain.locator("#chart-news")).not_to_contain_text("connection lost")
    plain.close()
    browser.complain()


def test_a_page_asked_for_while_the_site_is_lost_is_answered_with_our_own(browser: Browser, curves: Stack) -> None:
    with ChaosProxy(int(curves.url.rsplit(":", 1)[1])) as line, browser.elsewhere(line.url) as visitor:
        page = visitor.page
        page.context.add_cookies(browser.page.context.cookies())  # type: ignore[arg-type]  # the same cookies
        page.goto(line.url)
        page.evaluate("navigator.serviceWorker.ready.then(() => null)")
        open_job(visitor, curves, "running")
        expect(page.locator("#live")).to_have_attribute("data-state", "live")
        address = page.url
        line.add(Rule(reset=True))
        line.reset_all()
        page.reload()
        expect(page.get_by_role("heading", name="The site cannot be reached")).to_be_visible()
        assert page.evaluate("document.fonts.check('14px Inter') && getComputedStyle(document.body).fontSize") == "14px"
        visitor.look("offline")
        kept = page.evaluate("caches.open('offline').then(c => c.keys()).then(all => all.map(each => each.url))")
        assert all(re.search(r"/offline/$|\.css$|\.woff2$", each) for each in kept)
        assert visitor.faults == []  # axe's word
        line.heal()
        page.get_by_role("link", name="Try again").click()
        drawn(page)
        assert page.url == address
