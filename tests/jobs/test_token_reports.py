"""Token reports: who may ask, what a worker gets, and what is shown and kept of its answer."""

from __future__ import annotations

import csv
import json
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.files.storage import default_storage

from tests.conftest import Api, Cast, api_of
from tests.datasets.test_corpus import SPEAKS_PYTHON
from tests.datasets.test_steps import draft as begin_draft
from tests.datasets.test_steps import post as steps_post
from tests.jobs.queue import gpu, online
from tests.jobs.worker_calls import WorkerCalls
from tests.pages.test_access import browser_of
from webapp.accounts.templatetags.sentences import said
from webapp.basemodels.models import BaseModel
from webapp.datasets.models import Dataset, DatasetVersion
from webapp.datasets.token_problems import token_problems
from webapp.jobs import scheduling
from webapp.jobs.models import Inspection, Job
from webapp.jobs.reported import BadReport
from webapp.jobs.reported_tokens import check_report
from webapp.storing import open_stored

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


async def _all_of(response: Any) -> str:
    return b"".join([chunk async for chunk in response.streaming_content]).decode()


def read_csv(response: Any) -> list[dict[str, str]]:
    return list(csv.DictReader(async_to_sync(_all_of)(response).splitlines()))


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


def test_a_report_kept_before_it_told_how_many_rows_there_are_only_warns() -> None:
    brief = {"base_model": "toy-bert", "max_length": 12, "cut_rows": 0, "rows_without_trainable_tokens": 2}
    assert [each["severity"] for each in token_problems(brief, "a.csv", readable=True)] == ["warning"]
    assert [each["severity"] for each in token_problems({**brief, "rows": 2}, "a.csv", readable=True)] == ["error"]


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
    assert "0 trainable tokens in 2 rows" in shown
    assert '"cut at 12"' in shown
    assert "95 % 40, the longest 40" in bob.get(version.get_absolute_url()).content.decode()


def test_the_list_tells_lengths_split_and_jobs(
    cast: Cast, calls: WorkerCalls, bob_api: Api, version: DatasetVersion, wanted: dict[str, Any], job: Job
) -> None:
    bob_api("post", address(version), wanted)
    assert hand_in(calls, rows=100, nothing_to_learn=0).status_code == 200
    page = browser_of(cast.bob).get("/datasets/").content.decode()
    for cell in ("1,000</span>", ">5/40/40<", ">90/10<", "1 warning<", f'<td class="number">{1}</td>'):
        assert cell in page, cell
    shown = browser_of(cast.bob).get(version.get_absolute_url()).content.decode()
    assert "100 rows · 1,000 tokens" in shown
    assert "5 rows (5 %) are longer than 12 tokens of toy-bert; 5 % of all tokens would be cut." in shown


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


@pytest.mark.parametrize("problem", [{"code": "tokens.rows"}, {"code": "tokens.rows", "message": ["\x1b[31m"]}])
def test_a_problem_without_its_words_breaks_no_page_and_no_launch(
    cast: Cast, calls: WorkerCalls, bob_api: Api, version: DatasetVersion, wanted: dict[str, Any], problem: Any
) -> None:
    bob_api("post", address(version), wanted)
    question = calls.claim("tokens").json()
    end = {"answer": None, "files": [], "problem": problem}
    assert calls.post(f"inspections/{question['inspection']}/end", end, question["token"]).status_code == 200
    assert browser_of(cast.bob).get(page_of(version), {"max_length": 12}).status_code == 200
    job = {"base_model": wanted["base_model"], "dataset_version": version.pk, "method": "lora", "name": "a job"}
    assert bob_api("post", "jobs", job).status_code == 422


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
        ({"max_length": 10**9}, "max_length", "131,072"),
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


TURNS = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
CHATS = [{"messages": TURNS}, {"messages": TURNS[:1] + TURNS}, {"messages": [*TURNS, *TURNS]}]
REFUSED = {"code": "turns_not_alternating", "words": "Roles!", "rows": 1, "first": [{"number": 2, "line": 2}]}
LONG = [{"number": 3, "line": 3, "length": 40, "cut": 28, "kept": "hi … hello"}]


@pytest.fixture
def talker(base_model: BaseModel) -> BaseModel:
    """A base model that chats."""
    base_model.tasks, base_model.chat_template = ["causal-lm"], True
    base_model.save()
    return base_model


@pytest.fixture
def draft(bob_api: Api, talker: BaseModel) -> DatasetVersion:
    """Three conversations, checked and not saved."""
    lines = "\n".join(json.dumps(row) for row in CHATS).encode()
    made = steps_post(bob_api, f"{begin_draft(bob_api, 'chats.jsonl', lines)['id']}/choices")
    return DatasetVersion.objects.get(pk=made["id"])


def problems_of(told: dict[str, Any]) -> list[tuple[str, str, int | None, int]]:
    return [(each["code"][8:], each["severity"], each["where"]["line"], each["count"]) for each in told["problems"]]


def test_rows_are_read_before_they_are_saved_and_what_was_found_is_decided_there(
    cast: Cast, calls: WorkerCalls, bob_api: Api, draft: DatasetVersion, talker: BaseModel
) -> None:
    bob, check, ask = browser_of(cast.bob), draft.get_absolute_url() + "check/", {"base_model": talker.pk}
    page = bob.get(check).content.decode()
    assert "Tokens, before anything is saved" in page
    here = bob.post(page_of(draft), ask | {"max_length": 12}).headers["Location"]
    assert here.startswith(check)
    assert b"Waiting for a worker" in bob.get(here).content
    inspection = Inspection.objects.get()
    assert inspection.files[0]["sha256"] == draft.sample["sha256"]
    with open_stored(draft.sample["key"]) as file:
        assert [json.loads(line)["line"] for line in file] == [1, 2, 3]
    change = {"rows": 2, "refused": [REFUSED], "long": LONG, "cut_rows": 1, "nothing_to_learn": 0}
    assert hand_in(calls, **change).status_code == 200
    page = bob.get(here).content.decode()
    assert "the chat template of toy-bert refuses that" in page
    assert "40 tokens, 28 cut away, kept: hi … hello" in page
    told = bob_api("get", f"dataset-versions/{draft.pk}").json()
    found = [
        ("turns_not_alternating", "error", 2, 1),
        ("turns_not_alternating", "warning", 2, 1),
        ("too_long", "warning", 3, 1),
    ]
    assert sorted(problems_of(told)) == sorted(found)
    listed = read_csv(bob_api("get", f"dataset-versions/{draft.pk}/problems.csv"))
    assert sorted((each["code"][8:], each["severity"], int(each["line"]), int(each["count"])) for each in listed) == (
        sorted(found)
    )
    worst = {each["code"]: each for each in reversed(told["problems"])}
    for each in worst.values():
        assert said(each["message"]) in page, "of each kind, the worst stands on the page"
        assert not SPEAKS_PYTHON.search(each["message"] + each["hint"])
    undecided = bob_api("post", f"dataset-versions/{draft.pk}/choices", {})
    assert (undecided.status_code, undecided.json()["error"]["code"]) == (422, "dataset.undecided")
    fixes = [
        {"code": "dataset.turns_not_alternating", "fix": "skip_rows"},
        {"code": "dataset.too_long", "fix": "drop_long"},
    ]
    left = steps_post(bob_api, f"{draft.pk}/choices", {"fixes": fixes})
    assert (left["step"], left["rows"]["good"], left["token_stats"]) == ("check", 2, None)
    assert left["long_rows"] == {"fix": "drop_long", "max_length": 12, "base_model": "toy-bert"}
    assert steps_post(bob_api, f"{draft.pk}/choices")["step"] == "save"
    saved = steps_post(bob_api, f"{draft.pk}/save", {"split": {"kind": "fraction", "fraction": 0}})
    assert (saved["state"], saved["rows"]["train"]) == ("ready", 2)
    again = Inspection.objects.first()
    assert again is not None
    assert (again.question["rows_sha256"], again.question["max_length"]) == (saved["sha256"], 12)
    assert not default_storage.exists(draft.sample["key"])
    body = {"base_model": talker.pk, "dataset_version": draft.pk, "method": "lora"}
    job = bob_api("post", "jobs", body).json()
    training = Job.objects.get(pk=job["id"]).read_spec.training
    assert (training["max_length"], training["long_rows"]) == (12, "leave out")


def test_a_choice_about_long_rows_is_taken_back(
    calls: WorkerCalls, bob_api: Api, draft: DatasetVersion, wanted: dict[str, Any]
) -> None:
    bob_api("post", address(draft), wanted)
    hand_in(calls, cut_rows=1, long=LONG, nothing_to_learn=0)
    kept = {"code": "dataset.turns_not_alternating", "fix": "accept"}
    for fix in ("truncate_long", "accept"):
        told = steps_post(bob_api, f"{draft.pk}/choices", {"fixes": [kept, {"code": "dataset.too_long", "fix": fix}]})
        assert (told["step"], bool(told["long_rows"])) == ("save", fix == "truncate_long")


def test_a_report_on_rows_that_have_changed_since_is_not_kept(
    calls: WorkerCalls, bob_api: Api, draft: DatasetVersion, wanted: dict[str, Any]
) -> None:
    bob_api("post", address(draft), wanted)
    fixes = [{"code": "dataset.turns_not_alternating", "fix": "skip_rows"}]
    steps_post(bob_api, f"{draft.pk}/choices", {"fixes": fixes})
    assert hand_in(calls).status_code == 200
    assert bob_api("get", f"dataset-versions/{draft.pk}").json()["token_stats"] is None


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"refused": [REFUSED]}, "turns_not_alternating", "In 1 row, the first of them row 2: two turns"),
        ({"refused": [REFUSED | {"code": "system_not_first", "rows": 1200}]}, "system_not_first", "In 1,200 rows"),
        ({"refused": [REFUSED | {"code": "tool_calls_unsupported"}]}, "tool_calls_unsupported", "leaves that out"),
        ({"refused": [REFUSED | {"code": "template_refuses"}]}, "template_refuses", "the messages, saying: Roles!"),
        ({"rows": 37, "nothing_to_learn": 37}, "no_trainable_tokens", "0 trainable tokens in 37 rows"),
    ],
    ids=str,
)
def test_what_a_report_found_keeps_a_job_from_being_queued(
    calls: WorkerCalls,
    bob_api: Api,
    version: DatasetVersion,
    wanted: dict[str, Any],
    change: dict[str, Any],
    code: str,
    words: str,
) -> None:
    body = wanted | {"dataset_version": version.pk, "method": "lora", "training": {"max_length": 12}}
    del body["max_length"]
    assert bob_api("post", "jobs", body).status_code == 201, "without a report the worker says it"
    bob_api("post", address(version), wanted)
    assert hand_in(calls, **change).status_code == 200
    refused = bob_api("post", "jobs", body)
    (problem,) = refused.json()["problems"]
    assert (refused.status_code, problem["code"]) == (422, f"dataset.{code}")
    assert words in problem["message"]
    assert problem["hint"]
    told = bob_api("get", f"dataset-versions/{version.pk}").json()["problems"]
    (found,) = [each for each in told if each["code"] == f"dataset.{code}"]
    assert (found["severity"], found["message"]) == ("error", problem["message"])
    assert found["count"] == change.get("nothing_to_learn", change.get("refused", [{"rows": 0}])[0]["rows"])
    assert found["docs"].startswith("/datasets/help/#")
    assert not SPEAKS_PYTHON.search(found["message"] + found["hint"])
    assert Job.objects.count() == 1
    longer = bob_api("post", "jobs", body | {"training": {"max_length": 20}})
    assert longer.status_code == (201 if code == "no_trainable_tokens" else 422)


def test_messages_without_a_chat_template_are_refused_without_any_report(
    bob_api: Api, draft: DatasetVersion, talker: BaseModel
) -> None:
    DatasetVersion.objects.update(state="ready", step="", rows={"train": 3, "eval": 0, "good": 3})
    BaseModel.objects.update(chat_template=False)
    refused = bob_api("post", "jobs", {"base_model": talker.pk, "dataset_version": draft.pk, "method": "lora"})
    assert (refused.status_code, refused.json()["problems"][0]["code"]) == (422, "job.pairing")
    assert "no chat template" in refused.json()["problems"][0]["message"]
