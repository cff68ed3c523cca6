"""Token reports: who may ask, what a worker gets, and what is shown and kept of its answer."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import Api, Cast, api_of
from tests.jobs.queue import gpu, online
from tests.jobs.worker_calls import WorkerCalls
from tests.pages.test_access import browser_of
from webapp.basemodels.models import BaseModel
from webapp.datasets.models import Dataset, DatasetVersion
from webapp.jobs import scheduling
from webapp.jobs.models import Inspection
from webapp.jobs.reported import BadReport
from webapp.jobs.reported_tokens import check_report

ANSWER: dict[str, Any] = {
    "max_length": 12,
    "distance": 1,
    "rows": 100,
    "tokens": 1_000,
    "supervised": 200,
    "cut_rows": 5,
    "cut_tokens": 50,
    "nothing_to_learn": 2,
    "lengths": [[5, 50], [10, 40], [40, 10]],
    "remarks": {"a remark": 3},
    "shown": [
        {
            "number": 1,
            "tokens": [["[CLS]", False, True], ["<b>fine", True, False]],
            "length": 2,
            "cut": 0,
            "supervised": 1,
            "answer": "",
        }
    ],
}


@pytest.fixture
def wanted(base_model: BaseModel) -> dict[str, Any]:
    return {"base_model": base_model.pk, "max_length": 12}


def address(version: DatasetVersion) -> str:
    return f"dataset-versions/{version.pk}/tokens"


def page_of(version: DatasetVersion) -> str:
    return f"/datasets/{version.dataset_id}/v{version.number}/tokens/"


def hand_in(calls: WorkerCalls, **change: Any) -> Any:
    question = calls.claim("tokens").json()
    end: dict[str, Any] = {"answer": ANSWER | change, "files": [], "problem": None}
    return calls.post(f"inspections/{question['inspection']}/end", end, question["token"])


def test_a_worker_gets_rows_and_tokenizer_and_its_answer_is_kept(
    calls: WorkerCalls, bob_api: Api, version: DatasetVersion, wanted: dict[str, Any]
) -> None:
    for _ in range(2):
        assert bob_api("post", address(version), wanted).json()["state"] == "queued"
    inspection = Inspection.objects.get()
    assert inspection.question["kind"] == "token_report"
    assert [file["name"] for file in inspection.files] == ["rows.jsonl", "base_model/config.json"]
    assert hand_in(calls).status_code == 200
    said = bob_api("post", address(version), wanted).json()
    assert said["state"] == "answered"
    brief = {"p50": 5, "p95": 40, "max": 40, "cut_rows": 5, "tokens": 1_000, "rows_without_trainable_tokens": 2}
    assert brief.items() <= said["report"].items()
    kept = bob_api("get", f"dataset-versions/{version.pk}").json()["token_stats"]
    assert (kept["base_model"], kept["p95"], kept["max_length"]) == ("toy-bert", 40, 12)
    assert bob_api("post", address(version), wanted | {"max_length": 20}).json()["state"] == "queued"


def test_left_out_the_length_is_that_of_a_job(bob_api: Api, version: DatasetVersion, base_model: BaseModel) -> None:
    bob_api("post", address(version), {"base_model": base_model.pk})
    assert Inspection.objects.get().question["max_length"] == 64, "what the toy reads at most"


def test_the_page_asks_waits_and_shows_every_token(
    cast: Cast, calls: WorkerCalls, version: DatasetVersion, base_model: BaseModel
) -> None:
    bob, page = browser_of(cast.bob), page_of(version)
    assert b"Read the rows" in bob.get(page, {"max_length": 12}).content
    sent = bob.post(page, {"base_model": base_model.pk, "max_length": 12})
    assert sent.status_code == 302
    here = sent.headers["Location"]
    assert b"Waiting for a worker" in bob.get(here, headers={"HX-Request": "true"}).content
    assert hand_in(calls).status_code == 200
    assert bob.get(here, headers={"HX-Request": "true"}).headers["HX-Refresh"] == "true"
    shown = bob.get(here).content.decode()
    assert '<span class="token special">[CLS]</span>' in shown
    assert '<span class="token trained">&lt;b&gt;fine</span>' in shown
    assert "2 rows without a trainable token." in shown
    assert '"cut at 12"' in shown
    assert "95 % 40, the longest 40" in bob.get(version.get_absolute_url()).content.decode()


def test_a_problem_is_said_and_the_question_asked_again(
    cast: Cast, calls: WorkerCalls, bob_api: Api, version: DatasetVersion, wanted: dict[str, Any], base_model: BaseModel
) -> None:
    bob_api("post", address(version), wanted)
    question = calls.claim("tokens").json()
    problem = {"code": "tokens.rows", "message": "Row 1 cannot be read for this task.", "hint": "Mend the dataset."}
    end: dict[str, Any] = {"answer": None, "files": [], "problem": problem}
    calls.post(f"inspections/{question['inspection']}/end", end, question["token"])
    base_model.refresh_from_db()
    assert base_model.state == "ready", "a question about rows is none about the base model"
    page = browser_of(cast.bob).get(page_of(version), {"max_length": 12}).content
    assert b"Row 1 cannot be read for this task." in page
    assert b"Try again" in page
    assert bob_api("post", address(version), wanted).json()["state"] == "queued"


def test_who_may_not_ask(cast: Cast, charlie_api: Api, version: DatasetVersion, wanted: dict[str, Any]) -> None:
    assert charlie_api("post", address(version), wanted).status_code == 404
    assert browser_of(cast.charlie).get(page_of(version)).status_code == 404
    assert api_of(cast.vera, cast.team)("post", address(version), wanted).status_code == 403
    assert browser_of(cast.vera).post(page_of(version), wanted).status_code == 403
    assert not Inspection.objects.exists()


def test_of_every_teams_dataset_a_member_of_any_team_may_ask(
    cast: Cast, bob_api: Api, version: DatasetVersion, wanted: dict[str, Any]
) -> None:
    Dataset.objects.update(team=None)
    assert api_of(cast.vera, cast.team)("post", address(version), wanted).status_code == 403
    assert bob_api("post", address(version), wanted).status_code == 200


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"max_length": 3}, "max_length", "`max_length` is 3"),
        ({"max_length": 10**9}, "max_length", "1,000,000"),
        ({"task": "causal-lm"}, "base_model", "can do text-classification"),
        ({"state": "checking"}, "dataset_version", "is checking"),
        ({"model_state": "refused"}, "base_model", "is refused"),
        ({"other_team": True}, "base_model", "belongs to another team"),
        ({"archived": True}, "dataset_version", "is archived"),
    ],
    ids=str,
)
def test_what_cannot_be_answered_is_refused_with_the_field(
    cast: Cast,
    version: DatasetVersion,
    base_model: BaseModel,
    wanted: dict[str, Any],
    change: dict[str, Any],
    field: str,
    words: str,
) -> None:
    DatasetVersion.objects.update(task=change.get("task", version.task), state=change.get("state", version.state))
    BaseModel.objects.update(state=change.get("model_state", base_model.state))
    if "archived" in change:
        Dataset.objects.update(archived_at=version.created_at)
    if "other_team" in change:
        BaseModel.objects.update(team=cast.other_team)
    root = browser_of(cast.root)
    sent = wanted | {"max_length": change.get("max_length", 12)}
    refused = root.post(
        f"/api/v1/{address(version)}", sent, "application/json", headers={"Origin": "http://testserver"}
    )
    assert refused.status_code == 422, refused.content
    (problem,) = refused.json()["problems"]
    assert problem["field"] == field
    assert words in problem["message"] + problem["hint"]
    assert not Inspection.objects.exists()


def test_a_teams_worker_reads_its_own_teams_rows_alone(
    cast: Cast, bob_api: Api, version: DatasetVersion, wanted: dict[str, Any]
) -> None:
    bob_api("post", address(version), wanted)
    assert scheduling.work_waits(online("own", [gpu()], team=cast.team))
    assert not scheduling.work_waits(online("other", [gpu()], team=cast.other_team))


@pytest.mark.parametrize(
    "change", [{"rows": -1}, {"lengths": [[1, "x"]]}, {"shown": [{"number": 1}]}, {"distance": 0}], ids=str
)
def test_an_answer_that_is_none_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(BadReport):
        check_report(ANSWER | change)


def test_of_a_shared_dataset_a_teams_own_base_model_is_not_told_to_others(
    cast: Cast, calls: WorkerCalls, charlie_api: Api, version: DatasetVersion, base_model: BaseModel
) -> None:
    Dataset.objects.update(team=None)
    BaseModel.objects.update(team=cast.team, name="SECRET")
    bob = api_of(cast.bob, cast.team)
    assert bob("post", address(version), {"base_model": base_model.pk, "max_length": 12}).status_code == 200
    assert hand_in(calls).status_code == 200
    assert charlie_api("get", f"dataset-versions/{version.pk}").json()["token_stats"] is None
    assert bob("post", address(version), {"base_model": base_model.pk, "max_length": 12}).json()["state"] == "answered"


def test_one_person_has_few_open_questions_at_a_time(
    bob_api: Api, version: DatasetVersion, wanted: dict[str, Any]
) -> None:
    for length in range(20, 25):
        assert bob_api("post", address(version), wanted | {"max_length": length}).status_code == 200
    refused = bob_api("post", address(version), wanted | {"max_length": 30})
    assert (refused.status_code, refused.json()["problems"][0]["code"]) == (422, "tokens.too_many")
    assert bob_api("post", address(version), wanted | {"max_length": 20}).status_code == 200, "the same one is there"


@pytest.mark.parametrize("given", [{"base_model": "999"}, {"max_length": "99999999999"}, {"max_length": "many"}])
def test_the_page_does_nothing_else_than_what_was_asked(
    cast: Cast, version: DatasetVersion, wanted: dict[str, Any], given: dict[str, str]
) -> None:
    bob = browser_of(cast.bob)
    assert bob.post(page_of(version), wanted | given).status_code == 422
    assert bob.get(page_of(version), wanted | given).status_code == 422
    assert not Inspection.objects.exists()


def test_without_a_worker_that_may_answer_the_page_says_so(
    cast: Cast, bob_api: Api, version: DatasetVersion, wanted: dict[str, Any]
) -> None:
    Dataset.objects.update(team=None)
    bob_api("post", address(version), wanted)
    bob = browser_of(cast.bob)
    online("own", [gpu()], team=cast.team)
    assert b"No worker that may do this is online." in bob.get(page_of(version), wanted).content
    online("shared", [gpu()])
    assert b"No worker that may do this is online." not in bob.get(page_of(version), wanted).content
