"""Evaluations are held against the base model as it was and against full fine-tuning on the same data."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import Cast, make_job
from tests.jobs.worker_calls import WorkerCalls
from webapp.basemodels.models import BaseModel
from webapp.datasets.models import DatasetVersion
from webapp.jobs.learning_figures import charts_for
from webapp.jobs.models import Job
from webapp.jobs.reference_lines import held_against


@pytest.fixture
def evaluated(calls: WorkerCalls, claimed: dict[str, Any]) -> Job:
    """An evaluation before the first step, and one after ten."""
    points = [(0, {"eval_accuracy": 0.5, "eval_loss": 0.7}), (10, {"loss": 0.6, "eval_accuracy": 0.8})]
    events = [
        {"kind": "metrics", "step": step, "time": 1.0 + seq, "epoch": 0.0, "values": values}
        for seq, (step, values) in enumerate(points, start=1)
    ]
    answer = calls.post(f"attempts/{claimed['attempt']}/events", {"first_seq": 1, "events": events}, claimed["token"])
    assert answer.status_code == 200, answer.content
    return Job.objects.get()


def lines(job: Job) -> dict[str, list[tuple[str, float]]]:
    return {
        chart.name: [(each.words, round(each.value, 3)) for each in chart.references]
        for chart in held_against(job, charts_for(job))
    }


def full(cast: Cast, base_model: BaseModel, version: DatasetVersion, **fields: Any) -> Job:
    own = {"method": "full", "state": "succeeded", "final_metrics": {"eval_accuracy": 0.9}}
    return make_job(cast, base_model, version, **own | fields)


def test_the_base_model_is_what_was_measured_before_the_first_step(evaluated: Job) -> None:
    assert lines(evaluated)["accuracy"] == [("base model", 50.0)]
    assert lines(evaluated)["loss"] == []


def test_full_fine_tuning_is_the_teams_own_on_the_same_data(
    evaluated: Job, cast: Cast, base_model: BaseModel, version: DatasetVersion
) -> None:
    full(cast, base_model, version, team=cast.other_team)
    full(cast, base_model, version, state="failed")
    assert lines(evaluated)["accuracy"] == [("base model", 50.0)]
    full(cast, base_model, version)
    assert lines(evaluated)["accuracy"] == [("base model", 50.0), ("full fine-tuning", 90.0)]
    drawn = next(chart for chart in held_against(evaluated, charts_for(evaluated)) if chart.name == "accuracy").drawn()
    assert [each["text"] for each in drawn["layout"]["annotations"]] == ["base model", "full fine-tuning"]
    assert drawn["layout"]["yaxis"]["autorangeoptions"]["include"] == [50.0, 90.0]


@pytest.mark.parametrize("told", [{}, {"eval_accuracy": None}, {"eval_accuracy": "NaN"}])
def test_a_number_that_is_none_makes_no_line(
    evaluated: Job, cast: Cast, base_model: BaseModel, version: DatasetVersion, told: dict[str, Any]
) -> None:
    full(cast, base_model, version, final_metrics=told)
    assert lines(evaluated)["accuracy"] == [("base model", 50.0)]


def test_before_anything_is_measured_there_is_no_line(job: Job) -> None:
    assert lines(job)["accuracy"] == []


def test_a_value_beyond_all_numbers_draws_no_line(
    evaluated: Job, cast: Cast, base_model: BaseModel, version: DatasetVersion
) -> None:
    """In percent it is infinite, which the page's JSON has no word for: no chart at all would be drawn."""
    full(cast, base_model, version, final_metrics={"eval_accuracy": 1.7e308})
    assert lines(evaluated)["accuracy"] == [("base model", 50.0)]
