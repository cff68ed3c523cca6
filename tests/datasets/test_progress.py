"""While a file is checked: its page says how many rows were read and what was found first, and the check is stopped."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import OperationalError, connection

from tests.conftest import Api, Cast
from tests.datasets.test_deciding import GOOD, RAGGED, look
from tests.datasets.test_steps import browser_of, stored_files
from tests.datasets.test_vetting import uploaded
from webapp.datasets import vetting
from webapp.datasets.checking import check
from webapp.datasets.models import Dataset, DatasetVersion
from webapp.datasets.problems import Problems
from webapp.datasets.reading import Report
from webapp.datasets.vetting import run_check


@pytest.mark.parametrize(("step", "content"), [("", f"text,label\n{GOOD}".encode()), ("", RAGGED), ("columns", RAGGED)])
def test_a_check_is_watched_and_stopped_and_leaves_nothing(
    cast: Cast,
    bob_api: Api,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    content: bytes,
    django_capture_on_commit_callbacks: Any,
) -> None:
    before = stored_files()
    version_id = uploaded(bob_api, "a.csv", content, step=step).json()["version"]["id"]
    address = DatasetVersion.objects.get().get_absolute_url()
    problems = Problems("a.csv")
    problems.error("ragged_row", "Row 41 has 3 values but the header has 2.", "Quote it.", line=42, row=41)
    far = {"rows": 1_234_567, "problems": problems.as_json(), "problems_total": 1}

    def watched(*given: Any, still_wanted: Any, **named: Any) -> Report:
        report = check(*given, **named)
        bob = browser_of(cast.bob)
        assert "read so far" not in bob.get(address, follow=True).content.decode()
        assert still_wanted({})
        assert still_wanted(far)
        for person in (bob, browser_of(cast.vera)):
            page = person.get(address, follow=True).content.decode()
            assert "1,234,567 rows read so far, 1 problem found" in page
            assert "Row 41 has 3 values" in page
        assert look(bob_api, version_id)["progress"]["rows"] == 1_234_567
        assert browser_of(cast.vera).post(f"{address}discard/").status_code == 403
        with django_capture_on_commit_callbacks(execute=True):
            assert bob.post(f"{address}discard/")["Location"] == "/datasets/upload/"
        assert not still_wanted(far)
        return report

    monkeypatch.setattr(vetting, "check", watched)
    run_check(version_id)
    assert (Dataset.objects.count(), stored_files()) == (0, before)


@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_away_for_a_moment_ends_no_check(bob_api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    version_id = uploaded(bob_api, "a.csv", f"text,label\n{GOOD}".encode()).json()["version"]["id"]

    def away(*_: Any) -> Any:
        raise OperationalError("server closed the connection unexpectedly")

    def interrupted(*given: Any, still_wanted: Any, **named: Any) -> Report:
        with connection.execute_wrapper(away):
            assert still_wanted({})
            assert still_wanted({"rows": 1})
        return check(*given, **named)

    monkeypatch.setattr(vetting, "check", interrupted)
    run_check(version_id)
    assert look(bob_api, version_id)["state"] == "ready"


def test_what_is_known_ends_the_telling(bob_api: Api) -> None:
    version_id = uploaded(bob_api, "a.csv", RAGGED).json()["version"]["id"]
    DatasetVersion.objects.update(progress={"rows": 5, "problems": [], "problems_total": 0})
    run_check(version_id)
    assert (look(bob_api, version_id)["state"], look(bob_api, version_id)["progress"]) == ("needs_choice", {})
