"""The public API of jobs: what Bob may do, what a stranger and a viewer may not, and every wrong field by name."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from tests.conftest import Api, Cast, api_of, claim_next
from webapp.accounts.models import Membership
from webapp.basemodels.models import BaseModel
from webapp.datasets.models import DatasetVersion
from webapp.jobs import reporting
from webapp.jobs.models import Job, Worker


@pytest.fixture
def wanted(base_model: BaseModel, version: DatasetVersion) -> dict[str, Any]:
    return {"base_model": base_model.pk, "dataset_version": version.pk, "method": "lora"}


def test_a_job_is_queued_with_every_default_resolved(bob_api: Api, wanted: dict[str, Any], cast: Cast) -> None:
    answer = bob_api("post", "jobs", wanted)
    assert answer.status_code == 201, answer.content
    job = answer.json()
    assert (job["state"], job["queue_position"], job["team"]) == ("queued", 1, "weather")
    assert "online" in job["why_waiting"]
    training = job["spec"]["training"]
    assert all(training[name] is not None for name in ("learning_rate", "max_length", "eval_every", "save_every"))
    assert job["spec"]["options"]["rank"] == 16
    assert job["spec"]["job_id"] == job["id"]


def test_the_same_idempotency_key_makes_one_job(bob_api: Api, wanted: dict[str, Any]) -> None:
    answers = [bob_api("post", "jobs", wanted, headers={"Idempotency-Key": "k1"}).json()["id"] for _ in range(3)]
    assert len(set(answers)) == 1
    assert Job.objects.count() == 1


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"method": "magic"}, "method", "magic"),
        ({"options": {"rank": 0}}, "options.rank", "range"),
        ({"options": {"rnak": 4}}, "options.rnak", "no option"),
        ({"options": {"rank": "many"}}, "options.rank", "whole number"),
        ({"training": {"learning_rate": -1}}, "training.learning_rate", "range"),
        ({"training": {"epochs": "NaN"}}, "training.epochs", "number"),
        ({"training": {"scheduler": "zigzag"}}, "training.scheduler", "choice"),
        ({"training": {"max_length": 10_000}}, "training.max_length", "64"),
        ({"base_model": 999_999}, "base_model", "no such"),
        ({"dataset_version": 999_999}, "dataset_version", "no such"),
        ({"priority": 10_000}, "priority", "100"),
    ],
)
def test_a_wrong_field_is_named_with_reason_and_fix(
    bob_api: Api, wanted: dict[str, Any], change: dict[str, Any], field: str, words: str
) -> None:
    answer = bob_api("post", "jobs", wanted | change)
    assert answer.status_code == 422
    problem = answer.json()["problems"][0]
    assert problem["field"] == field
    assert words in problem["message"] + problem["hint"]
    assert problem["hint"]
    assert not Job.objects.exists()


def test_a_model_that_cannot_do_the_datasets_task_is_refused(
    bob_api: Api, wanted: dict[str, Any], base_model: BaseModel
) -> None:
    base_model.tasks = ["causal-lm"]
    base_model.save()
    answer = bob_api("post", "jobs", wanted)
    assert answer.status_code == 422
    assert "text-classification" in answer.json()["error"]["message"]


def test_broken_json_is_400_and_a_missing_field_422(bob_api: Api) -> None:
    headers = {"Authorization": f"Bearer {bob_api.token}"}
    assert Client().post("/api/v1/jobs", "{", "application/json", headers=headers).status_code == 400
    missing = bob_api("post", "jobs", {"method": "lora"})
    assert missing.status_code == 422
    assert {problem["field"] for problem in missing.json()["problems"]} >= {"base_model", "dataset_version"}


def test_a_viewer_may_look_but_not_launch(cast: Cast, wanted: dict[str, Any], job: Job) -> None:
    vera = api_of(cast.vera, cast.team)
    assert vera("get", f"jobs/{job.pk}").status_code == 200
    assert vera("post", "jobs", wanted).status_code == 403
    assert vera("post", f"jobs/{job.pk}/cancel", {}).status_code == 403


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", ""),
        ("get", "/metrics"),
        ("get", "/log"),
        ("get", "/events"),
        ("post", "/cancel"),
        ("post", "/pause"),
        ("post", "/resume"),
        ("post", "/retry"),
    ],
)
def test_to_a_stranger_the_job_does_not_exist(charlie_api: Api, job: Job, method: str, path: str) -> None:
    assert charlie_api(method, f"jobs/{job.pk}{path}", {}).status_code == 404


def test_a_stranger_cannot_use_the_teams_dataset(charlie_api: Api, wanted: dict[str, Any]) -> None:
    answer = charlie_api("post", "jobs", wanted)
    assert answer.status_code == 422
    assert answer.json()["problems"][0]["field"] == "dataset_version"


def test_a_token_reaches_one_team_only(cast: Cast, job: Job) -> None:
    root_elsewhere = api_of(cast.root, cast.other_team)
    assert root_elsewhere("get", f"jobs/{job.pk}").status_code == 404
    assert root_elsewhere("get", "jobs").json()["items"] == []


def test_cancelling_says_conflict_once_the_job_has_succeeded(bob_api: Api, job: Job) -> None:
    Job.objects.update(state="succeeded")
    answer = bob_api("post", f"jobs/{job.pk}/cancel", {})
    assert answer.status_code == 409
    assert "succeeded" in answer.json()["error"]["message"]


def test_jobs_are_listed_newest_first_by_pages(bob_api: Api, cast: Cast, job: Job) -> None:
    Job.objects.bulk_create(
        Job(**{f.attname: getattr(job, f.attname) for f in Job._meta.fields if f.attname != "id"}) for _ in range(5)
    )
    first = bob_api("get", "jobs?limit=4").json()
    rest = bob_api("get", f"jobs?limit=4&cursor={first['next']}").json()
    ids = [each["id"] for each in first["items"] + rest["items"]]
    assert ids == sorted(ids, reverse=True)
    assert len(ids) == 6
    assert rest["next"] is None


def test_events_can_be_polled_from_a_cursor(bob_api: Api, job: Job, worker: Worker) -> None:
    claimed = claim_next(worker)
    assert claimed
    assert claimed.attempt
    reporting.acknowledge(claimed.attempt)
    values = {"loss": 0.5, "grad_norm": "NaN"}
    events = [{"kind": "metrics", "step": n, "time": 1.0, "epoch": 0.1, "values": values} for n in (1, 2)]
    reporting.accept(claimed.attempt, 1, [*events, {"kind": "log", "level": "info", "text": "hello"}])
    everything = bob_api("get", f"jobs/{job.pk}/events").json()
    assert [each["n"] for each in everything["items"]] == list(range(1, everything["next"] + 1))
    points = [each for each in everything["items"] if each["kind"] == "metrics"]
    assert points[0]["values"] == values
    later = bob_api("get", f"jobs/{job.pk}/events?after={points[0]['n']}").json()
    assert [each["kind"] for each in later["items"]] == ["metrics", "log"]
    assert bob_api("get", f"jobs/{job.pk}/log").json()["items"][0]["text"] == "hello"


def test_methods_describe_themselves(bob_api: Api) -> None:
    methods = {method["name"]: method for method in bob_api("get", "methods").json()}
    rank = next(option for option in methods["lora"]["options"] if option["name"] == "rank")
    assert (rank["type"], rank["default"], rank["minimum"]) == ("integer", 16, 1)
    assert all(option["help"] for method in methods.values() for option in method["options"])


def test_the_openapi_description_is_served(db: Any) -> None:
    paths = Client().get("/api/v1/openapi.json").json()["paths"]
    assert "/api/v1/jobs/{job_id}/cancel" in paths


def test_a_token_of_one_team_reaches_nothing_of_the_persons_other_team(
    cast: Cast, wanted: dict[str, Any], version: DatasetVersion
) -> None:
    Membership.objects.create(user=cast.charlie, team=cast.team, role="viewer")
    api = api_of(cast.charlie, cast.other_team)
    assert api("get", f"dataset-versions/{version.pk}/rows").status_code == 404
    assert api("get", "datasets").json()["items"] == []
    assert api("post", "jobs", wanted).json()["problems"][0]["field"] == "dataset_version"
    assert not Job.objects.exists()


def test_a_retry_pressed_twice_is_one_job(bob_api: Api, job: Job) -> None:
    bob_api("post", f"jobs/{job.pk}/cancel", {})
    retries = {bob_api("post", f"jobs/{job.pk}/retry", {}).json()["id"] for _ in range(3)}
    assert len(retries) == 1
    assert Job.objects.count() == 2


@pytest.mark.parametrize("query", ["jobs?limit=x", "jobs?cursor=9999999999999999999999", "methods", "jobs?smooth=nan"])
def test_odd_queries_are_answered_in_words(bob_api: Api, query: str) -> None:
    assert bob_api("get", query).status_code in (200, 422)


@pytest.mark.parametrize("smooth", ["nan", "1", "-1", "inf"])
def test_a_smoothing_that_cannot_be_is_refused(bob_api: Api, job: Job, smooth: str) -> None:
    assert bob_api("get", f"jobs/{job.pk}/metrics?smooth={smooth}").status_code == 422


def test_a_token_reaches_no_shared_worker_whoever_made_it(cast: Cast, worker: Worker) -> None:
    root = api_of(cast.root, cast.team)
    for answer in (root("patch", f"workers/{worker.pk}", {"drain": True}), root("delete", f"workers/{worker.pk}")):
        assert answer.status_code == 403
        assert "browser" in answer.json()["error"]["message"]
    worker.refresh_from_db()
    assert (worker.drain, worker.revoked_at) == (False, None)
    Worker.objects.update(team=cast.team)
    assert root("patch", f"workers/{worker.pk}", {"drain": True}).status_code == 200


def test_on_a_shared_worker_another_teams_job_has_no_number(
    bob_api: Api, charlie_api: Api, job: Job, worker: Worker
) -> None:
    assert claim_next(worker)
    own = bob_api("get", "workers").json()["items"][0]["attempts"]
    foreign = charlie_api("get", "workers").json()["items"][0]["attempts"]
    assert own[0]["job_id"] == job.pk
    assert foreign == [{"id": None, "job_id": None, "number": None, "devices": []}]
