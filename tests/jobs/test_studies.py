"""Studies: started as one, treated as one, added to, and seen by nobody else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import Api, Cast, api_of, claim_next
from webapp.basemodels.models import BaseModel
from webapp.datasets.models import DatasetVersion
from webapp.jobs import reporting, studying
from webapp.jobs.models import Job, JobState, Study, Worker
from webapp.jobs.refusing import LaunchRefused
from webapp.jobs.studying import Arm, StudyWish


def wish(cast: Cast, model: BaseModel, version: DatasetVersion, **more: Any) -> StudyWish:
    arms = more.pop("arms", (Arm("lora", (4, 8)), Arm("full")))
    return StudyWish(cast.team, model, version, arms, **{"seeds": (1, 2), "training": {"max_steps": 20}, **more})


@pytest.fixture
def study(cast: Cast, base_model: BaseModel, version: DatasetVersion) -> Study:
    return studying.start(cast.bob, wish(cast, base_model, version))


def test_a_study_is_methods_times_sizes_times_seeds_on_one_budget(study: Study) -> None:
    jobs = list(study.jobs.order_by("id"))
    assert [(job.method, studying.size_of(job), job.spec["training"]["seed"]) for job in jobs] == [
        ("lora", 4, 1),
        ("lora", 8, 1),
        ("full", None, 1),
        ("lora", 4, 2),
        ("lora", 8, 2),
        ("full", None, 2),
    ]
    assert {job.spec["training"]["max_steps"] for job in jobs} == {20}
    assert {job.spec["training"]["eval_every"] for job in jobs} == {jobs[0].spec["training"]["eval_every"]}
    assert len({job.dataset_version_id for job in jobs}) == 1


def test_all_or_nothing_is_queued(cast: Cast, base_model: BaseModel, version: DatasetVersion) -> None:
    with pytest.raises(LaunchRefused):
        studying.start(cast.bob, wish(cast, base_model, version, arms=(Arm("lora", (4, 10**9)),)))
    assert not Study.objects.exists()
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"arms": ()}, "study.no_method"),
        ({"seeds": ()}, "study.no_seed"),
        ({"arms": (Arm("full", (3,)),)}, "study.no_size"),
        ({"arms": (Arm("nonsense"),)}, "study.method"),
        ({"seeds": tuple(range(40))}, "study.too_many"),
        ({"training": {"learning_rate": 0.1}}, "study.own_per_job"),
    ],
)
def test_what_is_wrong_is_named(
    cast: Cast, base_model: BaseModel, version: DatasetVersion, more: dict[str, Any], code: str
) -> None:
    with pytest.raises(LaunchRefused) as refused:
        studying.start(cast.bob, wish(cast, base_model, version, **more))
    assert code in [each.code for each in refused.value.problems]


def test_cancelling_a_study_ends_all_its_jobs(cast: Cast, study: Study) -> None:
    assert studying.act(study, cast.bob, "cancel").done == 6
    assert {job.state for job in study.jobs.all()} == {JobState.CANCELLED}


def test_pausing_and_resuming_reaches_what_can_be(cast: Cast, study: Study, worker: Worker) -> None:
    claimed = claim_next(worker)
    assert claimed
    assert claimed.attempt
    reporting.acknowledge(claimed.attempt)
    assert studying.act(study, cast.bob, "pause").done == 6
    paused = study.jobs.filter(state=JobState.PAUSED).count()
    assert (paused, study.jobs.get(pk=claimed.attempt.job_id).wish) == (5, "pause")
    assert studying.act(study, cast.bob, "resume").done >= 5


def test_a_method_added_later_has_the_same_budget(cast: Cast, study: Study) -> None:
    (job,) = studying.add(cast.bob, study, [Arm("bitfit")], [1], {})
    assert job.study == study
    assert job.spec["training"]["max_steps"] == 20


def test_progress_counts_steps_and_guesses_the_rest_from_those_that_began(study: Study) -> None:
    jobs = list(study.jobs.order_by("id"))
    jobs[0].state, jobs[0].step, jobs[0].total_steps, jobs[0].pace = "running", 10, 20, {"paces": [3.0]}
    told = studying.progress(jobs)
    assert told.share == pytest.approx(0.5 / 6)
    assert told.seconds_left == pytest.approx(30 + 5 * 60)


def test_the_suggested_study_takes_all_methods_that_can_work(base_model: BaseModel, version: DatasetVersion) -> None:
    arms, training = studying.suggested(base_model, version)
    names = [arm.method for arm in arms]
    assert {"lora", "full", "bitfit"} <= set(names)
    assert "prefix_tuning" not in names
    assert training == {"max_steps": studying.SUGGESTED_STEPS}


def test_the_api_starts_adds_cancels_and_answers_with_numbers(
    bob_api: Api, base_model: BaseModel, version: DatasetVersion
) -> None:
    body = {
        "base_model": base_model.pk,
        "dataset_version": version.pk,
        "methods": [{"method": "lora", "sizes": [4, 8]}],
    }
    made = bob_api("post", "studies", {**body, "training": {"max_steps": 10}})
    assert made.status_code == 201
    path = f"studies/{made.json()['id']}"
    assert bob_api("post", f"{path}/jobs", {"methods": [{"method": "full"}]}).status_code == 201
    assert bob_api("post", f"{path}/cancel", {}).json()["progress"]["states"] == {"cancelled": 3}
    assert [group["title"] for group in bob_api("get", path).json()["groups"]] == [
        "LoRA 4",
        "LoRA 8",
        "Full fine-tuning",
    ]
    assert bob_api("get", "studies").json()["items"][0]["id"] == made.json()["id"]
    refused = bob_api("post", "studies", {**body, "methods": [{"method": "full", "sizes": [2]}]})
    assert refused.status_code == 422
    assert "no size" in refused.content.decode()


def test_a_stranger_finds_no_study_and_a_viewer_changes_none(cast: Cast, charlie_api: Api, study: Study) -> None:
    for method, path in (("get", ""), ("post", "/cancel"), ("post", "/jobs")):
        body = {} if path != "/jobs" else {"methods": [{"method": "full"}]}
        assert charlie_api(method, f"studies/{study.pk}{path}", body if method == "post" else None).status_code == 404
    assert charlie_api("get", "studies").json()["items"] == []
    vera = api_of(cast.vera, cast.team)
    assert vera("get", f"studies/{study.pk}").status_code == 200
    assert vera("post", f"studies/{study.pk}/cancel", {}).status_code == 403
    assert not study.jobs.filter(state=JobState.CANCELLED).exists()
