"""A study's report: one file with numbers and figures that draws itself without a network, and runs nobody's markup."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from launcher.testing import find_chromium
from tests.conftest import Cast
from tests.pages.test_access import browser_of
from tests.pages.test_static import STATIC
from tests.pages.test_studies import ended, study
from webapp.jobs.models import Job, Study
from webapp.jobs.views.report import PLOTLY

__all__ = ["ended", "study"]


def report_of(cast: Cast, found: Study) -> str:
    answer = browser_of(cast.bob).get(f"/studies/{found.pk}/report/")
    assert answer.headers["Content-Disposition"] == f'attachment; filename="study-{found.pk}.html"'
    return answer.content.decode()


def test_it_holds_the_numbers_the_figures_and_what_draws_them(cast: Cast, ended: Study) -> None:
    report = report_of(cast, ended)
    assert "accuracy, n = 2" in report
    assert 'id="figure-front-trained-0"' in report
    assert (STATIC / PLOTLY).read_text() in report
    assert ended.dataset_version.sha256 in report
    assert "training.max_steps" in report


def test_before_there_are_results_it_says_so(cast: Cast, study: Study) -> None:
    assert "0 succeeded" in report_of(cast, study)


def test_names_are_shown_literally(cast: Cast, ended: Study) -> None:
    Study.objects.update(name="<img src=x onerror=alert(1)>")
    Job.objects.update(name="</script><script>alert(1)</script>")
    report = report_of(cast, ended)
    assert "<img src=x" not in report
    assert "<script>alert(1)" not in report


def test_a_stranger_gets_none(cast: Cast, ended: Study) -> None:
    assert browser_of(cast.charlie).get(f"/studies/{ended.pk}/report/").status_code == 404


@pytest.mark.browser
@pytest.mark.skipif(find_chromium() is None, reason="no Chromium here; apt install chromium")
def test_it_draws_itself_from_the_disk(cast: Cast, ended: Study, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(report_of(cast, ended))
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
        page = chromium.new_page()
        errors: list[str] = []
        asked: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(file.as_uri())
        page.wait_for_selector(".js-plotly-plot .main-svg")
        drawn = page.locator(".js-plotly-plot").count()
        told = page.locator('[data-figure]:has(script[type="application/json"])').count()
        page.screenshot(path=Path(__file__).parents[1] / "screenshots" / "report.png", full_page=True)
        chromium.close()
    assert not errors
    assert asked == [file.as_uri()]
    assert drawn == told >= 4
