"""Merging on request: who may ask, what a worker gets and hands in, and what is listed then."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from tests.conftest import Api, Cast, api_of
from tests.jobs.queue import gpu, online
from tests.jobs.worker_calls import WorkerCalls, hand_in_artifact
from tests.pages.test_access import browser_of
from webapp.jobs import scheduling
from webapp.jobs.models import Artifact, Inspection, Job, Worker

PARITY = {"dtype": "float32", "max_logit_difference": 1e-6, "same_choice_share": 1.0}
WEIGHTS = b"the whole model"


@pytest.fixture
def delta(calls: WorkerCalls, claimed: dict[str, Any]) -> Artifact:
    """What Bob's job left behind."""
    assert hand_in_artifact(calls, claimed).status_code == 201
    end = {"outcome": "succeeded", "last_seq": 0}
    assert calls.post(f"attempts/{claimed['attempt']}/end", end, claimed["token"]).status_code == 200
    return Artifact.objects.get()


def hand_in_merged(calls: WorkerCalls, question: dict[str, Any], **change: Any) -> Any:
    """A worker's answer to a merge that it claimed."""
    files = []
    manifest = {"files": [described("model.safetensors", WEIGHTS)], "parity": PARITY, **change}
    for name, content in (("model.safetensors", WEIGHTS), ("manifest.json", json.dumps(manifest).encode())):
        file = described(name, content)
        path = f"inspections/{question['inspection']}/files/{file['sha256']}"
        assert calls.put(path, content, question["token"]).status_code in (200, 201)
        files.append(file)
    answer = {"answer": {"manifest": manifest}, "files": files, "problem": None}
    return calls.post(f"inspections/{question['inspection']}/end", answer, question["token"])


def described(name: str, content: bytes) -> dict[str, Any]:
    return {"name": name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_a_worker_gets_base_model_and_delta_and_its_model_is_listed(
    calls: WorkerCalls, bob_api: Api, delta: Artifact
) -> None:
    assert bob_api("get", f"artifacts/{delta.pk}").json()["merging"]["state"] == "not_asked"
    assert bob_api("post", f"artifacts/{delta.pk}/merge").json()["state"] == "queued"
    question = calls.claim("merge").json()
    assert question["question"] == {"kind": "merged_model"}
    names = [file["name"] for file in question["files"]]
    assert names == ["base_model/config.json", "artifact/adapter_model.safetensors", "artifact/manifest.json"]
    weights = calls.get(
        f"inspections/{question['inspection']}/inputs/{question['files'][1]['sha256']}", question["token"]
    )
    assert b"".join(weights) == b"weights"
    assert bob_api("get", f"artifacts/{delta.pk}").json()["merging"]["state"] == "running"
    assert hand_in_merged(calls, question).status_code == 200
    merged = Artifact.objects.get(kind="merged")
    assert merged.attempt == delta.attempt
    assert bob_api("get", f"artifacts/{delta.pk}").json()["merging"] == {
        "state": "done",
        "artifact": merged.pk,
        "problem": None,
    }
    kinds = [each["kind"] for each in bob_api("get", f"jobs/{delta.job_id}").json()["artifacts"]]
    assert kinds == ["delta", "merged"]
    assert b"".join(bob_api("get", f"artifacts/{merged.pk}/files/model.safetensors")) == WEIGHTS
    assert bob_api("post", f"artifacts/{delta.pk}/merge").json()["artifact"] == merged.pk
    assert Inspection.objects.count() == 1


def test_asked_twice_it_is_merged_once(bob_api: Api, delta: Artifact) -> None:
    for _ in range(2):
        assert bob_api("post", f"artifacts/{delta.pk}/merge").json()["state"] == "queued"
    assert Inspection.objects.count() == 1


def test_who_may_not_ask(cast: Cast, charlie_api: Api, delta: Artifact) -> None:
    assert charlie_api("post", f"artifacts/{delta.pk}/merge").status_code == 404
    assert api_of(cast.vera, cast.team)("post", f"artifacts/{delta.pk}/merge").status_code == 403
    assert browser_of(cast.vera).post(f"/artifacts/{delta.pk}/merge/").status_code == 403
    assert b"Merge into the base model" not in browser_of(cast.vera).get(delta.get_absolute_url()).content
    assert not Inspection.objects.exists()


def test_what_cannot_be_merged_is_refused_with_the_reason(cast: Cast, bob_api: Api, delta: Artifact) -> None:
    spec = Job.objects.get().spec | {"method": "houlsby", "options": {}}
    Job.objects.update(method="houlsby", spec=spec)
    refused = bob_api("post", f"artifacts/{delta.pk}/merge")
    assert refused.status_code == 422
    assert refused.json()["error"]["code"] == "artifact.not_merged"
    assert browser_of(cast.bob).post(f"/artifacts/{delta.pk}/merge/").status_code == 422
    assert b"Merge into the base model" not in browser_of(cast.bob).get(delta.get_absolute_url()).content


def test_a_damaged_delta_is_not_merged(bob_api: Api, delta: Artifact) -> None:
    Artifact.objects.update(damaged_at=delta.created_at)
    assert "damaged in storage" in bob_api("post", f"artifacts/{delta.pk}/merge").json()["error"]["message"]


def test_the_page_asks_says_how_far_it_is_and_offers_the_model(cast: Cast, calls: WorkerCalls, delta: Artifact) -> None:
    bob = browser_of(cast.bob)
    page = delta.get_absolute_url()
    assert b"Merge into the base model" in bob.get(page).content
    assert bob.post(f"{page}merge/").headers["Location"] == page
    waiting = bob.get(page, headers={"HX-Request": "true"}).content
    assert b"Waiting for a worker" in waiting
    assert b"<html" not in waiting
    hand_in_merged(calls, calls.claim("merge").json())
    merged = Artifact.objects.get(kind="merged")
    assert merged.get_absolute_url().encode() in bob.get(page).content
    own_page = bob.get(merged.get_absolute_url()).content.decode()
    assert "Merged model of a job" in own_page
    assert "100 % of its choices" in own_page
    assert bob.get(f"/jobs/{delta.job_id}/").context["artifact"] == delta
    assert list(bob.get("/artifacts/").context["page_of"]) == [delta]


def test_a_merge_that_failed_says_why_and_can_be_asked_for_again(
    cast: Cast, calls: WorkerCalls, bob_api: Api, delta: Artifact
) -> None:
    bob_api("post", f"artifacts/{delta.pk}/merge")
    question = calls.claim("merge").json()
    problem = {"code": "merge.not_alike", "message": "Merged, the model answers otherwise.", "hint": "Use the delta."}
    end: dict[str, Any] = {"answer": None, "files": [], "problem": problem}
    assert calls.post(f"inspections/{question['inspection']}/end", end, question["token"]).status_code == 200
    said = bob_api("get", f"artifacts/{delta.pk}").json()["merging"]
    assert (said["state"], said["problem"]) == ("failed", problem)
    page = browser_of(cast.bob).get(delta.get_absolute_url()).content
    assert b"Merged, the model answers otherwise." in page
    assert b"Try again" in page
    assert bob_api("post", f"artifacts/{delta.pk}/merge").json()["state"] == "queued"


@pytest.mark.parametrize(
    "change",
    [
        {"files": []},
        {"parity": None},
        {"parity": PARITY | {"same_choice_share": 7}},
        {"parity": PARITY | {"same_choice_share": "1"}},
    ],
    ids=["other files", "no parity", "odd parity", "parity in words"],
)
def test_a_merged_model_that_does_not_fit_its_manifest_is_not_listed(
    calls: WorkerCalls, bob_api: Api, delta: Artifact, change: dict[str, Any]
) -> None:
    bob_api("post", f"artifacts/{delta.pk}/merge")
    assert hand_in_merged(calls, calls.claim("merge").json(), **change).status_code == 422
    assert Artifact.objects.count() == 1


def test_a_teams_worker_merges_its_own_teams_deltas_alone(cast: Cast, bob_api: Api, delta: Artifact) -> None:
    own, other = online("own", [gpu()], team=cast.team), online("other", [gpu()], team=cast.other_team)
    bob_api("post", f"artifacts/{delta.pk}/merge")
    assert scheduling.work_waits(own)
    assert not scheduling.work_waits(other)


def test_once_the_worker_that_trained_it_is_removed_the_default_pool_merges(bob_api: Api, delta: Artifact) -> None:
    Worker.objects.update(pool="fast", revoked_at=delta.created_at)
    bob_api("post", f"artifacts/{delta.pk}/merge")
    assert scheduling.work_waits(online("other", [gpu()]))


def test_a_merged_model_that_was_damaged_is_made_again(
    cast: Cast, calls: WorkerCalls, bob_api: Api, delta: Artifact
) -> None:
    bob_api("post", f"artifacts/{delta.pk}/merge")
    hand_in_merged(calls, calls.claim("merge").json())
    damaged = Artifact.objects.get(kind="merged")
    Artifact.objects.filter(pk=damaged.pk).update(damaged_at=delta.created_at)
    assert b"Merge into the base model" in browser_of(cast.bob).get(delta.get_absolute_url()).content
    assert bob_api("post", f"artifacts/{delta.pk}/merge").json()["state"] == "queued"
    assert hand_in_merged(calls, calls.claim("again").json()).status_code == 200
    whole = Artifact.objects.get(kind="merged")
    assert whole.pk != damaged.pk
    assert whole.files[0]["key"].startswith(f"{cast.team.pk}/inspections/")


def test_a_merged_model_is_not_merged_again(cast: Cast, calls: WorkerCalls, bob_api: Api, delta: Artifact) -> None:
    bob_api("post", f"artifacts/{delta.pk}/merge")
    hand_in_merged(calls, calls.claim("merge").json())
    merged = Artifact.objects.get(kind="merged")
    assert bob_api("post", f"artifacts/{merged.pk}/merge").status_code == 422
    assert bob_api("get", f"artifacts/{merged.pk}").json()["mergeable"] is False
    fragment = browser_of(cast.bob).get(merged.get_absolute_url(), headers={"HX-Request": "true"}).content
    assert b"Merge into the base model" not in fragment
