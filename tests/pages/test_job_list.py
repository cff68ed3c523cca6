"""The list of jobs: columns and their order are chosen, name and note edited in it, and what is seen goes along."""

from __future__ import annotations

import csv
from typing import Any

import pytest

from tests.conftest import Cast, make_job
from tests.pages.test_access import browser_of
from webapp.basemodels.models import BaseModel
from webapp.datasets.models import DatasetVersion
from webapp.jobs.models import Job


@pytest.fixture
def three(cast: Cast, base_model: BaseModel, version: DatasetVersion) -> list[Job]:
    """One without a score between two."""
    scores = {"job A": 0.7, "job B": None, "job C": 0.9}
    for name, score in scores.items():
        job = make_job(cast, base_model, version, name=name)
        best = {"name": "eval_accuracy", "value": score, "step": 5} if score else None
        Job.objects.filter(pk=job.pk).update(best_metric=best, final_metrics={"eval_loss": 1 - score} if score else {})
    return list(Job.objects.order_by("id"))


def page(who: Any, **query: Any) -> str:
    return str(browser_of(who).get("/jobs/", query).content.decode())


def names(text: str) -> list[str]:
    return [name for _, name in sorted((text.index(f">job {name}</a>"), name) for name in "ABC")]


@pytest.mark.parametrize(
    ("query", "order"),
    [
        ({}, "CBA"),
        ({"sort": "value"}, "ACB"),
        ({"sort": "-value"}, "CAB"),
        ({"sort": "-value", "value": "eval_loss"}, "ACB"),
        ({"sort": "nonsense", "value": "nonsense"}, "CBA"),
        ({"sort": "-time"}, "CBA"),
    ],
)
def test_the_order_is_that_of_the_chosen_value_and_who_has_none_comes_last(
    cast: Cast, three: list[Job], query: dict[str, str], order: str
) -> None:
    assert names(page(cast.vera, **query)) == list(order)


def test_columns_are_chosen_and_stay_from_page_to_page(cast: Cast, three: list[Job]) -> None:
    text = page(cast.vera, columns=["value", "nonsense"], value="eval_loss", q="job")
    assert "Final loss" in text
    assert '<th scope="col">Method</th>' not in text
    assert "q=job&amp;columns=value&amp;columns=nonsense&amp;value=eval_loss&amp;sort=-value" in text


def test_the_csv_has_the_visible_columns_and_no_formula(cast: Cast, three: list[Job]) -> None:
    Job.objects.filter(name="job B").update(name="=1+1")
    answer = browser_of(cast.vera).get("/jobs/", {"format": "csv", "columns": ["value", "by"], "sort": "value"})
    rows = list(csv.reader(b"".join(answer).decode().splitlines()))
    assert rows[0] == ["id", "name", "metric", "value", "step", "by"]
    assert [row[1:] for row in rows[1:]] == [
        ["job A", "eval_accuracy", "0.7", "5", "bob"],
        ["job C", "eval_accuracy", "0.9", "5", "bob"],
        ["'=1+1", "", "", "", "bob"],
    ]
    everything = browser_of(cast.vera).get("/jobs/", {"format": "csv", "page": "1"})
    assert len(list(csv.reader(b"".join(everything).decode().splitlines()))) == 4
    stranger = browser_of(cast.charlie).get("/jobs/", {"format": "csv"})
    assert len(b"".join(stranger).decode().splitlines()) == 1


def test_name_and_note_are_edited_in_the_table(cast: Cast, three: list[Job]) -> None:
    job = three[0]
    form = page(cast.bob, edit=str(job.pk), sort="value")
    assert f'formaction="/jobs/{job.pk}/name/"' in form
    assert 'name="query" value="sort=value&amp;page=1"' in form
    sent = {"name": " a better \nname ", "remark": "too warm", "query": "sort=value&page=1&evil=//x"}
    answer = browser_of(cast.bob).post(f"/jobs/{job.pk}/name/", sent)
    assert answer["Location"] == "/jobs/?sort=value&page=1"
    job.refresh_from_db()
    assert (job.name, job.remark) == ("a better name", "too warm")
    assert "too warm" in page(cast.vera)
    assert "Edit<" not in page(cast.vera)


@pytest.mark.parametrize(
    ("sent", "said"),
    [({"name": " "}, "A job needs a name"), ({"name": "n", "remark": "x" * 501}, "The note has 501 characters")],
)
def test_what_cannot_be_a_name_or_note_is_said(cast: Cast, three: list[Job], sent: dict[str, str], said: str) -> None:
    browser = browser_of(cast.bob)
    text = browser.post(f"/jobs/{three[0].pk}/name/", sent, follow=True).content.decode()
    assert said in text
    assert Job.objects.get(pk=three[0].pk).name == "job A"


def test_only_members_of_the_team_rename(cast: Cast, three: list[Job]) -> None:
    for who, status in ((cast.vera, 403), (cast.charlie, 404)):
        assert browser_of(who).post(f"/jobs/{three[0].pk}/name/", {"name": "mine"}).status_code == status
    assert browser_of(cast.bob).get(f"/jobs/{three[0].pk}/name/").status_code == 405
