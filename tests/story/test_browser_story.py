"""The first fine-tune as a newcomer does it, in a real browser: sign in, upload, launch, watch, reload, take away."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from launcher.testing import find_chromium
from tests.faults.chaos_proxy import ChaosProxy, Rule
from tests.story import toys
from tests.story.browser import Browser, browsing
from tests.story.charts import drawn, drawn_places
from tests.story.conftest import launch
from tests.story.stack import Stack, running_stack

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        find_chromium() is None and "CI" not in os.environ, reason="no Chromium here; apt install chromium"
    ),
]


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory, models_folder: Path) -> Iterator[Stack]:
    """A stack that nobody has touched yet."""
    var = tmp_path_factory.mktemp("fresh") / "var"
    with running_stack(var, DELTABOARD_MODEL_FOLDERS=os.fspath(models_folder)) as stack:
        yield stack


@pytest.fixture(scope="module")
def browser(fresh: Stack) -> Iterator[Browser]:
    with browsing(fresh.url) as browser:
        yield browser


def test_the_sign_in_link_works_once(fresh: Stack, browser: Browser) -> None:
    page = browser.page
    page.goto(fresh.sign_in_link)
    browser.glance("sign-in-link")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(re.compile("queue|start|first", re.IGNORECASE))
    browser.look("first-run")
    page.context.clear_cookies()
    page.goto(fresh.sign_in_link)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("no longer works")
    browser.faults.clear()  # Chromium notes the refusal's status as an error
    page.goto(fresh.manage("signinlink", "--user", "admin", "--site", fresh.url))
    page.get_by_role("button", name="Sign in").click()
    browser.complain()


EMPTY = ["jobs/", "studies/", "compare/", "datasets/", "models/", "artifacts/", "estimates/", "notices/", "jobs/new/"]


def test_pages_with_nothing_on_them_yet_are_quiet(browser: Browser) -> None:
    for path in EMPTY:
        browser.page.goto(f"{browser.url}/{path}")
        browser.glance("empty-" + path.strip("/").replace("/", "-"))
        browser.complain()


def test_a_bad_file_is_refused_with_line_reason_and_fix(browser: Browser, tmp_path: Path) -> None:
    page = browser.page
    ragged = tmp_path / "ragged.csv"
    ragged.write_text("text,label\ngood film,pos\nbad, really bad,neg\nfine,pos\n")
    page.goto(f"{browser.url}/datasets/upload/")
    page.set_input_files("#id_file", ragged)
    page.get_by_role("button", name="Upload").click()
    page.get_by_role("button", name="Check all rows").click(timeout=30_000)
    expect(page.locator("main")).to_contain_text("has 3 values", timeout=30_000)
    expect(page.locator("main")).to_contain_text("must be in quotes")
    browser.glance("dataset-check")
    browser.complain()


def test_a_folder_is_registered_as_base_model(browser: Browser, models_folder: Path) -> None:
    page = browser.page
    page.goto(f"{browser.url}/models/register/")
    browser.look("register")
    page.locator("input[name=folder]").fill(str(models_folder / "toy-bert"))
    page.locator("form:has(input[name=folder]) button.primary").click()
    expect(page.locator("main")).to_contain_text("Ready", timeout=60_000)
    browser.glance("base-model")
    browser.complain()


def test_a_dataset_is_uploaded_and_checked(browser: Browser, tmp_path: Path) -> None:
    page = browser.page
    file = tmp_path / "reviews.jsonl"
    file.write_bytes(toys.reviews())
    page.goto(f"{browser.url}/datasets/upload/")
    page.set_input_files("#id_file", file)
    page.get_by_role("button", name="Upload").click()
    check = page.get_by_role("button", name="Check all rows")
    expect(check).to_be_visible(timeout=30_000)
    browser.glance("dataset-columns")
    check.click()
    page.locator("#max_length").fill("8", timeout=30_000)
    page.get_by_role("button", name="Read the rows").click()
    expect(page.locator("#tokens")).to_contain_text("Rows, token by token", timeout=60_000)
    expect(page.locator("main")).to_contain_text("are longer than 8 tokens of toy-bert")
    browser.glance("dataset-tokens")
    page.get_by_label("are longer than 8 tokens").select_option("accept")
    page.get_by_role("button", name="Go on").click()
    browser.glance("dataset-save")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("main")).to_contain_text("Ready", timeout=30_000)
    expect(page.locator("main")).to_contain_text("text-classification")
    browser.glance("dataset")
    browser.complain()


def test_a_job_is_launched_watched_reloaded_and_taken_away(browser: Browser, fresh: Stack, tmp_path: Path) -> None:
    page = browser.page
    page.goto(f"{browser.url}/jobs/new/")
    page.get_by_text("toy-bert").first.click()
    page.get_by_text("reviews v1").first.click()
    browser.look("new-job")
    page.locator("#settings summary").first.click()
    page.get_by_label("Epochs").fill("20")
    page.get_by_label("Learning rate").fill("0.005")
    page.get_by_role("button", name="Start").click()
    page.wait_for_url(re.compile(r"/jobs/\d+/"))
    job_id = int(page.url.rstrip("/").rsplit("/", 1)[1])
    with ChaosProxy(int(browser.url.rsplit(":", 1)[1])) as line:
        tab = page.context.new_page()
        tab.goto(f"{line.url}/jobs/{job_id}/")
        expect(page.locator("[data-badge]")).to_contain_text("Running", timeout=60_000)
        before = _curve_length(browser)
        page.wait_for_function(
            "n => document.querySelector('#charts .scatterlayer .js-line').getAttribute('d').length > n", arg=before
        )
        _cut_off_and_mended(tab, line, fresh, job_id)
        tab.close()
    browser.look("job-running")
    page.reload()
    assert _curve_length(browser) > 0
    _close_and_come_back(browser, job_id)
    expect(page.locator("[data-badge]")).to_contain_text("Succeeded", timeout=240_000)
    page.wait_for_timeout(800)
    browser.look("job-succeeded")
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Download").first.click()
    path = tmp_path / "delta.zip"
    waiting.value.save_as(path)
    assert "adapter_model.safetensors" in zipfile.ZipFile(path).namelist()
    _drawn_equals_stored(browser, fresh, job_id)
    browser.complain()


def _curve_length(browser: Browser) -> int:
    """Length of the loss curve's path, once it is drawn."""
    path = browser.page.locator("#charts .scatterlayer .js-line").first
    path.wait_for(state="attached", timeout=60_000)
    return len(path.get_attribute("d") or "")


def _close_and_come_back(browser: Browser, job_id: int) -> None:
    """The tab is closed for a while; opened again, it goes on."""
    browser.page.goto("about:blank")
    browser.page.wait_for_timeout(1500)
    browser.page.goto(f"{browser.url}/jobs/{job_id}/")


def _cut_off_and_mended(tab: Page, line: ChaosProxy, stack: Stack, job_id: int) -> None:
    """The line breaks while the training goes on: without a reload the page catches up, and no step is missing."""
    drawn(tab)
    line.add(Rule(path="/events", reset=True))
    line.reset_all()
    expect(tab.locator("#live")).to_have_attribute("data-state", "offline", timeout=30_000)
    had = drawn_places(tab)[-1]
    stack.wait_for("a step that the page cannot hear of", lambda: stack.job(job_id)["progress"]["step"] > had, 30)
    line.heal()
    stack.wait_for("the page to catch up", lambda: drawn(tab) and drawn_places(tab)[-1] > had, 45)
    places = drawn_places(tab)
    assert places == list(range(1, len(places) + 1))


def _drawn_equals_stored(browser: Browser, stack: Stack, job_id: int) -> None:
    """Every stored step is on the page's loss chart, once."""
    stored = stack.api("get", f"jobs/{job_id}/metrics?series=loss&points=5000").json()["step"]
    drawn = browser.page.evaluate(
        "Array.from(document.querySelector('#charts .js-plotly-plot').data.find(t => /loss/.test(t.uid || t.name)).x)"
    )
    assert sorted(set(drawn)) == stored


def test_a_running_job_is_cancelled(browser: Browser, fresh: Stack) -> None:
    page = browser.page
    page.goto(f"{browser.url}/jobs/new/")
    page.get_by_text("toy-bert").first.click()
    page.get_by_text("reviews v1").first.click()
    page.locator("#settings summary").first.click()
    page.get_by_label("Epochs").fill("500")
    page.get_by_role("button", name="Start").click()
    expect(page.locator("[data-badge]")).to_contain_text("Running", timeout=60_000)
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Cancel").first.click()
    expect(page.locator("[data-badge]")).to_contain_text("Cancelled", timeout=15_000)
    fresh.wait_for("the tree to be gone", lambda: not fresh.processes("workers.training"), 12)
    browser.glance("job-cancelled")
    browser.complain()


def test_a_waiting_job_is_dragged_before_another_and_behind_the_last(browser: Browser, fresh: Stack) -> None:
    page, first = browser.page, fresh.api("get", "jobs").json()["items"][-1]
    jobs = [launch(fresh, first["base_model"], first["dataset_version"], pool="nobodys", name=name) for name in "ABC"]
    page.goto(browser.url)
    rows = [page.locator(f"tr[data-job='{job}']") for job in jobs]
    rows[2].drag_to(rows[0], target_position={"x": 300, "y": 3})
    expect(page.locator("tr[data-job] th a")).to_have_text(["C", "A", "B"])
    height = (rows[1].bounding_box() or {"height": 0.0})["height"]
    rows[2].drag_to(rows[1], target_position={"x": 300, "y": height - 3})
    expect(page.locator("tr[data-job] th a")).to_have_text(["A", "B", "C"])
    browser.glance("queue-waiting")
    page.goto(f"{browser.url}/jobs/{jobs[2]}/")
    expect(page.locator("main")).to_contain_text("3rd in pool nobodys; 2 jobs of team")
    browser.glance("job-queued")
    browser.complain()


DJANGOS_OWN = ["admin/", "admin/jobs/job/", "admin/jobs/job/1/change/", "api/v1/docs"]


@pytest.mark.parametrize("path", DJANGOS_OWN)
def test_every_page_of_django_s_own_is_quiet(browser: Browser, path: str) -> None:
    browser.page.goto(f"{browser.url}/{path}")
    browser.page.wait_for_timeout(300)
    browser.glance("page-" + path.strip("/").replace("/", "-"), ours=False)
    browser.complain()
