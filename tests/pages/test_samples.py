"""What a model said along its training: two moments side by side, differences marked, worker's text as text."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import Cast, claim_next
from tests.pages.test_access import browser_of
from webapp.jobs import reporting, said
from webapp.jobs.models import Attempt, Job, Worker


@pytest.fixture
def attempt(job: Job, worker: Worker) -> Attempt:
    Job.objects.update(task="causal-lm")
    claimed = claim_next(worker)
    assert claimed
    assert claimed.attempt
    reporting.acknowledge(claimed.attempt)
    return claimed.attempt


def saying(step: int, *answers: str) -> dict[str, Any]:
    samples = [{"prompt": f"<b>{n}</b>?", "wanted": "yes", "said": each} for n, each in enumerate(answers)]
    return {"kind": "phase", "phase": "training", "step": step, "samples": samples}


def page_of(cast: Cast, job: Job, **query: Any) -> str:
    return browser_of(cast.vera).get(job.get_absolute_url(), {"tab": "samples", **query}).content.decode()


def test_first_and_newest_are_shown_unless_others_are_chosen(cast: Cast, attempt: Attempt) -> None:
    told = [saying(0, "a red cat"), saying(5, "a blue cat"), saying(10, "a blue dog")]
    reporting.accept(attempt, 1, told)
    page = page_of(cast, attempt.job)
    assert "a <del>red cat</del><ins>blue dog</ins>" in page
    assert "&lt;b&gt;0&lt;/b&gt;?" in page
    chosen = page_of(cast, attempt.job, before=0, after=5)
    assert "a <del>red </del><ins>blue </ins>cat" in chosen


def test_of_a_step_that_two_attempts_have_the_later_counts(attempt: Attempt) -> None:
    reporting.accept(attempt, 1, [saying(0, "x"), saying(5, "old"), saying(5, "new")])
    assert [(each.step, each.answers[0].said) for each in said.rounds(attempt.job)] == [(0, "x"), (5, "new")]


@pytest.mark.parametrize("nonsense", [7, "all", [3, None], [{"prompt": None}], {"said": 1}])
def test_a_worker_that_reports_nonsense_breaks_no_page(cast: Cast, attempt: Attempt, nonsense: Any) -> None:
    reporting.accept(attempt, 1, [{"kind": "phase", "phase": "training", "step": 3, "samples": nonsense}])
    assert "The same held-out prompts" in page_of(cast, attempt.job, after="x")


def test_before_the_first_evaluation_it_says_when_they_come(cast: Cast, attempt: Attempt) -> None:
    assert "They come with the first evaluation" in page_of(cast, attempt.job)


def test_a_job_that_classifies_has_no_such_tab(cast: Cast, job: Job) -> None:
    assert browser_of(cast.vera).get(job.get_absolute_url(), {"tab": "samples"}).status_code == 404


def test_no_more_of_what_a_worker_reports_is_kept_than_is_ever_shown(attempt: Attempt) -> None:
    reporting.accept(attempt, 1, [saying(0, *["long " * 5000] * 20)])
    (stored,) = attempt.events.filter(body__has_key="samples").values_list("body", flat=True)
    assert len(stored["samples"]) == 8
    assert {len(each["said"]) for each in stored["samples"]} == {4000}


def test_repeats_without_end_are_told_apart_at_once() -> None:
    before, after = "a b " * 1000, "b a a " * 660
    assert [(each.kind, each.text) for each in said.difference(before, after)] == [
        ("removed", before),
        ("added", after),
    ]
    assert [each.kind for each in said.difference(before, before)] == ["kept"]


def test_the_newest_answers_of_each_job(attempt: Attempt) -> None:
    reporting.accept(attempt, 1, [saying(0, "x"), saying(5, "y")])
    assert {job: (each.step, each.answers[0].said) for job, each in said.newest([attempt.job]).items()} == {
        attempt.job_id: (5, "y")
    }
