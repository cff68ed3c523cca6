"""What a job would come to, before it is queued: exact counts, and the same refusals as a launch."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import Api, Cast, api_of
from webapp.basemodels.models import BaseModel
from webapp.datasets.models import DatasetVersion
from webapp.jobs.models import Job
from workers.methods import METHODS


@pytest.fixture
def wanted(base_model: BaseModel, version: DatasetVersion) -> dict[str, Any]:
    return {"base_model": base_model.pk, "dataset_version": version.pk, "method": "lora"}


def test_counts_are_exact_and_nothing_is_queued(
    bob_api: Api, wanted: dict[str, Any], base_model: BaseModel, version: DatasetVersion
) -> None:
    answer = bob_api("post", "estimates", wanted | {"options": {"rank": 2, "targets": ["q"]}})
    assert answer.status_code == 200, answer.content
    said, shape = answer.json(), base_model.read_shape
    adapted = [linear for linear in shape.linears if linear.role == "q"]
    counted = sum(2 * (linear.inputs + linear.outputs) for linear in adapted) + shape.head_parameters(
        len(version.labels)
    )
    assert said["trainable_parameters"] == counted
    assert said["total_parameters"] == shape.parameters + counted
    assert said["trainable_percent"] == pytest.approx(100 * counted / said["total_parameters"])
    assert said["artifact_bytes"] == 4 * counted
    assert (said["seconds"], said["mergeable"]) == (None, True)
    assert said["memory_bytes"]["rough"]
    assert 0 < said["memory_bytes"]["low"] < said["memory_bytes"]["high"]
    assert said["full_memory_bytes"]["high"] > 0
    assert not Job.objects.exists()


def test_only_what_training_prunes_is_told_as_an_upper_bound(bob_api: Api, wanted: dict[str, Any]) -> None:
    for method, at_most in (("lora", False), ("adalora", True)):
        said = bob_api("post", "estimates", wanted | {"method": method, "options": {"targets": ["q"]}}).json()
        assert said["artifact_at_most"] is at_most


def test_a_wrong_field_is_named_as_at_a_launch(bob_api: Api, wanted: dict[str, Any]) -> None:
    answer = bob_api("post", "estimates", wanted | {"options": {"rank": 0}})
    assert answer.status_code == 422
    assert answer.json()["problems"][0]["field"] == "options.rank"


def test_a_viewer_and_a_stranger_get_none(cast: Cast, charlie_api: Api, wanted: dict[str, Any]) -> None:
    assert api_of(cast.vera, cast.team)("post", "estimates", wanted).status_code == 403
    assert charlie_api("post", "estimates", wanted).status_code == 422


def test_the_list_of_methods_says_what_merges_and_why_not(bob_api: Api) -> None:
    for method in bob_api("get", "methods").json():
        assert method["mergeable"] == (method["not_mergeable"] is None)
        assert method["choose_when"].endswith(".")
        assert method["inference_cost"].endswith(".")
        assert method["name"] in METHODS


@pytest.mark.parametrize(
    ("method", "options", "words"),
    [
        ("houlsby", {}, "bends what goes through it"),
        ("prompt_tuning", {"length": 4}, "nothing to merge it into"),
        ("full", {}, "whole model already"),
    ],
)
def test_what_cannot_be_merged_says_why(
    bob_api: Api, wanted: dict[str, Any], method: str, options: dict[str, Any], words: str
) -> None:
    said = bob_api("post", "estimates", wanted | {"method": method, "options": options}).json()
    assert said["mergeable"] is False
    assert words in said["not_mergeable"]


def test_a_method_that_cannot_work_here_says_so_before_launch(bob_api: Api, wanted: dict[str, Any]) -> None:
    for path in ("estimates", "jobs"):
        answer = bob_api("post", path, wanted | {"method": "prefix_tuning"})
        assert answer.status_code == 422
        problem = answer.json()["problems"][0]
        assert "not offered for text-classification; it is for causal-lm" in problem["message"]
    assert not Job.objects.exists()


def test_the_prompt_must_leave_room_for_the_rows(bob_api: Api, wanted: dict[str, Any]) -> None:
    asked = wanted | {"method": "prompt_tuning", "options": {"length": 40}, "training": {"max_length": 32}}
    answer = bob_api("post", "jobs", asked)
    assert answer.status_code == 422
    assert answer.json()["problems"][0]["field"] == "training.max_length"
    answer = bob_api("post", "jobs", asked | {"options": {"length": 60}, "training": {}})
    assert answer.status_code == 422
    assert answer.json()["problems"][0]["field"] == "options.length"
