"""From file to columns, check and save: guesses are confirmed, nothing is saved before, each step can be reopened."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from tests.conftest import Api, Cast, api_of
from tests.datasets.test_archives import zipped
from tests.datasets.test_deciding import GOOD, LATIN, RAGGED, TWICE, checked, look
from tests.datasets.test_vetting import uploaded
from webapp.accounts.models import User
from webapp.datasets import vetting
from webapp.datasets.checking import check
from webapp.datasets.models import Dataset, DatasetVersion
from webapp.datasets.reading import Report
from webapp.datasets.vetting import run_check

TITLES = "".join(f"headline {n} of the day,{n % 3},long body of article number {n}\n" for n in range(30)).encode()
PREDICTED = "text-classification-text-label"


def browser_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def draft(api: Api, name: str, content: bytes, **fields: Any) -> dict[str, Any]:
    return checked(api, name, content, step="columns", **fields)


def post(api: Api, path: str, body: dict[str, Any] | None = None, status: int = 201) -> dict[str, Any]:
    answer = api("post", f"dataset-versions/{path}", {} if body is None else body)
    assert answer.status_code == status, answer.json()
    told: dict[str, Any] = answer.json()
    if status == 201:
        run_check(told["id"])
        told = look(api, told["id"])
    return told


def test_a_person_goes_from_file_to_saved_version(cast: Cast) -> None:
    client = browser_of(cast.bob)
    answer = client.post("/datasets/upload/", {"file": SimpleUploadedFile("film reviews.csv", RAGGED)})
    version = DatasetVersion.objects.get()
    assert client.get(answer["Location"])["Location"].endswith("/columns/")
    columns = version.get_absolute_url() + "columns/"
    assert "being looked at" in client.get(columns).content.decode()
    run_check(version.pk)
    text = client.get(columns).content.decode()
    assert "Taken as text-classification" in text
    assert "Found: UTF-8." in text
    assert '<option value="," selected>comma</option>' in text
    assert 'value="first" selected' in text
    form = {"go": "check", "shape": PREDICTED, f"map.{PREDICTED}.text": "text", f"map.{PREDICTED}.label": "label"}
    check = client.post(columns, form | {"delimiter": ",", "header": "first"})["Location"]
    run_check(version.pk)
    text = client.get(check).content.decode()
    assert "Leave these rows out" in text
    assert "Go on with 40 rows, 1 left out" in text
    assert client.post(check, {}).status_code == 422  # nothing is left out without a word
    save = client.post(check, {"fix.dataset.ragged_row": "skip_rows"})["Location"]
    assert 'value="film reviews"' in client.get(save).content.decode()
    assert client.get(version.get_absolute_url())["Location"] == save  # closed and reopened
    wanted = {"name": "reviews", "licence": "CC0", "split": "fraction", "eval_percent": "20", "seed": "3"}
    assert client.post(save, wanted)["Location"] == save
    run_check(version.pk)
    version = DatasetVersion.objects.select_related("dataset").get()
    assert (version.state, version.step, version.rows["good"], version.rows["eval"]) == ("ready", "", 40, 8)
    assert (version.dataset.name, version.dataset.licence, version.split["seed"]) == ("reviews", "CC0", 3)
    assert client.get(save)["Location"] == version.get_absolute_url()
    assert client.get(save, headers={"HX-Request": "true"})["HX-Redirect"] == version.get_absolute_url()
    assert client.get(version.get_absolute_url()).status_code == 200


def test_nothing_is_stored_and_no_job_starts_before_it_is_saved(bob_api: Api) -> None:
    version = draft(bob_api, "a.csv", f"text,label\n{GOOD}".encode())
    assert (version["state"], version["step"], version["sha256"]) == ("needs_choice", "columns", "")
    assert version["found"]["rows"][0] == ["row 0", "neg"]
    assert post(bob_api, f"{version['id']}/save", status=409)["error"]["code"] == "dataset.step"
    version = post(bob_api, f"{version['id']}/choices")
    assert (version["state"], version["step"], version["rows"]["good"]) == ("needs_choice", "check", 40)
    version = post(bob_api, f"{version['id']}/choices")
    assert (version["step"], version["sha256"]) == ("save", "")
    version = post(bob_api, f"{version['id']}/save", {"name": "reviews"})
    assert (version["state"], version["step"], version["name"], version["number"]) == ("ready", "", "reviews", 1)
    assert post(bob_api, f"{version['id']}/save", status=409)["error"]["code"] == "dataset.saved"
    assert bob_api("delete", f"dataset-versions/{version['id']}").status_code == 409


def test_columns_are_guessed_by_content_with_the_reason(bob_api: Api) -> None:
    version = draft(bob_api, "a.csv", b"head,stars,story\n" + TITLES)
    assert (version["task"], version["mapping"]) == ("text-classification", {"text": "story", "label": "stars"})
    assert "30 rows hold 3 different values" in version["reasons"][0]
    assert version["labels"] == {"0": 10, "1": 10, "2": 10}


@pytest.mark.parametrize(
    ("row", "mapping"),
    [
        ('{"talk": [{"from": "human", "value": "hi %d"}, {"from": "gpt", "value": "yes"}]}', {"messages": "talk"}),
        ('{"ask": "why is %d so", "tell": "because of %d of them"}', {"prompt": "ask", "completion": "tell"}),
        ('{"id": %d, "words": "once upon a time number %d"}', {"text": "words"}),
        ('{"id": %d, "code": "x%d"}', {}),
    ],
)
def test_kinds_of_rows_are_known_by_content(bob_api: Api, row: str, mapping: dict[str, str]) -> None:
    content = "\n".join(row.replace("%d", str(n)) for n in range(10)).encode()
    assert draft(bob_api, "a.jsonl", content)["mapping"] == mapping


def test_a_file_without_a_header_is_seen_and_can_be_said_to_have_one(bob_api: Api) -> None:
    version = draft(bob_api, "a.csv", GOOD.encode())
    assert (version["found"]["header"], version["file_columns"]) == ("none", ["column_1", "column_2"])
    assert version["mapping"] == {"text": "column_1", "label": "column_2"}
    assert version["found"]["rows"][0] == ["row 0", "neg"]
    again = post(bob_api, f"{version['id']}/look", {"header": "first"})
    assert again["file_columns"] == ["row 0", "neg"]
    named = draft(bob_api, "b.csv", f"text,label\n{GOOD}".encode())
    assert (named["found"]["header"], named["found"]["delimiter"]) == ("first", ",")


def test_an_encoding_is_previewed_before_it_is_converted(cast: Cast, bob_api: Api) -> None:
    version = draft(bob_api, "a.csv", LATIN.replace(b"row 3,", b"caf\xe9 3,"))
    assert version["found"]["encoding"] == "not UTF-8"
    page = browser_of(cast.bob).get(DatasetVersion.objects.get().get_absolute_url() + "columns/").content.decode()
    assert "As Windows-1252" in page
    assert "café 3,pos" in page
    again = post(bob_api, f"{version['id']}/look", {"encoding": "windows-1252"})
    assert "Windows-1252" in again["found"]["encoding"]
    back = post(bob_api, f"{version['id']}/look")
    assert back["found"]["encoding"] == "not UTF-8"


def test_of_a_zip_with_several_files_one_is_chosen(bob_api: Api) -> None:
    content = zipped(("one.csv", f"text,label\n{GOOD}".encode()), ("two.csv", b"a,b\n1,2\n"))
    version = draft(bob_api, "a.zip", content)
    assert [each["value"] for each in version["offers"]["choose_entry"]] == ["one.csv", "two.csv"]
    version = post(bob_api, f"{version['id']}/look", {"entry": "one.csv"})
    assert (version["task"], len(version["offers"]["choose_entry"])) == ("text-classification", 2)


def test_a_fix_that_changes_how_rows_read_is_shown_before_it_is_saved(cast: Cast, bob_api: Api) -> None:
    rows = '{"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "yes"}]}\n' * 2
    version = post(bob_api, f"{draft(bob_api, 'a.jsonl', rows.encode())['id']}/choices")
    fix = {"code": "dataset.sharegpt", "fix": "convert_sharegpt"}
    page = browser_of(cast.bob).get(DatasetVersion.objects.get().get_absolute_url() + "check/").content.decode()
    assert "Read again so" in page
    version = post(bob_api, f"{version['id']}/choices", {"fixes": [fix]})
    assert (version["step"], version["rows"]["good"]) == ("check", 2)
    again = post(bob_api, f"{version['id']}/choices", status=422)
    assert again["error"]["code"] == "dataset.undecided"  # that it repeats
    one = {"code": "dataset.duplicate_row", "fix": "keep_one"}
    assert post(bob_api, f"{version['id']}/choices", {"fixes": [one]})["step"] == "save"
    version = post(bob_api, f"{version['id']}/save", {"split": {"kind": "fraction", "fraction": 0}})
    assert (version["state"], version["rows"]["good"]) == ("ready", 1)


def test_the_name_of_another_dataset_makes_its_next_version(bob_api: Api, charlie_api: Api) -> None:
    first = checked(bob_api, "reviews.csv", f"text,label\n{GOOD}".encode())
    assert first["name"] == "reviews"
    version = draft(bob_api, "reviews.csv", TWICE)
    assert version["name"] == "reviews 2"
    version = post(bob_api, f"{version['id']}/choices")
    version = post(bob_api, f"{version['id']}/choices", {"fixes": [{"code": "dataset.duplicate_row", "fix": "accept"}]})
    assert charlie_api("post", f"dataset-versions/{version['id']}/save", {}).status_code == 404
    version = post(bob_api, f"{version['id']}/save", {"name": "reviews"})
    assert (version["dataset"], version["number"], version["state"]) == (first["dataset"], 2, "ready")
    assert Dataset.objects.count() == 1


@pytest.mark.parametrize(
    ("content", "code", "fix"), [(RAGGED, "ragged_row", "skip_rows"), (TWICE, "duplicate_row", "accept")]
)
def test_a_decision_can_be_taken_back(cast: Cast, bob_api: Api, content: bytes, code: str, fix: str) -> None:
    version = post(bob_api, f"{draft(bob_api, 'a.csv', content)['id']}/choices")
    client, address = browser_of(cast.bob), DatasetVersion.objects.get().get_absolute_url()
    assert client.post(f"{address}check/", {f"fix.dataset.{code}": fix})["Location"] == f"{address}save/"
    answer = client.post(f"{address}check/", {f"fix.dataset.{code}": ""})
    assert (answer.status_code, b"Still to be decided" in answer.content) == (422, True)
    assert client.get(f"{address}save/")["Location"] == f"{address}check/"
    assert post(bob_api, f"{version['id']}/save", status=409)["error"]["code"] == "dataset.step"
    assert DatasetVersion.objects.get().asked["fixes"] == {}


def test_what_was_read_otherwise_is_read_as_before_once_that_is_taken_back(bob_api: Api) -> None:
    rows = '{"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "yes"}]}\n'
    version = post(bob_api, f"{draft(bob_api, 'a.jsonl', rows.encode())['id']}/choices")
    fix = {"code": "dataset.sharegpt", "fix": "convert_sharegpt"}
    path = f"{version['id']}/choices"
    assert post(bob_api, path, {"fixes": [fix]})["rows"]["good"] == 1
    back = post(bob_api, path, {"fixes": [fix | {"fix": ""}]})
    assert (back["step"], back["problems"][0]["code"]) == ("check", "dataset.sharegpt")
    assert back["problems"][0]["severity"] == "error"


SPLITS = [
    ("fraction", {"kind": "fraction", "fraction": "x"}),
    ("fraction", {"kind": "fraction", "fraction": None}),
    ("fraction", {"fraction": True}),
    ("fraction", {"fraction": 0.95}),
    ("seed", {"fraction": 0.1, "seed": 1.5}),
    ("kind", {"kind": ["column"]}),
    ("column", {"kind": "column", "column": {"a": 1}}),
]


def test_a_split_that_is_none_is_refused_wherever_it_is_sent(cast: Cast, bob_api: Api) -> None:
    version = post(bob_api, f"{draft(bob_api, 'a.csv', f'text,label{chr(10)}{GOOD}'.encode())['id']}/choices")
    client, address = browser_of(cast.bob), DatasetVersion.objects.get().get_absolute_url()
    for field, split in SPLITS:
        told = post(bob_api, f"{version['id']}/choices", {"split": split}, 422)["error"]
        assert (told["code"], told["message"].split(":")[0]) == ("dataset.split", f"`split.{field}`")
    assert look(bob_api, version["id"])["step"] == "check"
    assert post(bob_api, f"{version['id']}/choices", {"split": {"kind": "fraction", "fraction": 0}})["step"] == "save"
    page = client.get(f"{address}save/")
    assert (page.status_code, b'name="eval_percent" inputmode="decimal" value="0"' in page.content) == (200, True)
    odd = SPLITS[0][1]
    assert post(bob_api, f"{version['id']}/save", {"split": odd}, 422)["error"]["code"] == "dataset.split"
    sent = uploaded(bob_api, "b.csv", RAGGED, step="columns", split=json.dumps(odd))
    assert (sent.status_code, sent.json()["error"]["code"]) == (422, "dataset.split")
    begun = bob_api("post", "uploads", {"bytes": 5, "file_name": "c.csv", "split": odd})
    assert (begun.status_code, begun.json()["error"]["code"]) == (422, "dataset.split")


def test_a_second_file_is_what_is_held_out(bob_api: Api) -> None:
    version = post(bob_api, f"{draft(bob_api, 'a.csv', f'text,label{chr(10)}{GOOD}'.encode())['id']}/choices")
    post(bob_api, f"{version['id']}/choices")
    refused = post(bob_api, f"{version['id']}/save", {"split": {"kind": "file"}}, 422)
    assert refused["error"]["code"] == "dataset.second_file"
    held_out = SimpleUploadedFile(
        "test.jsonl", b'{"text": "new", "label": "pos"}\n{"text": "row 1", "label": "pos"}\n{"a": 1}\n'
    )
    headers = {"Authorization": f"Bearer {bob_api.token}"}
    sent = bob_api.client.post(
        f"/api/v1/dataset-versions/{version['id']}/second-file", {"file": held_out}, headers=headers
    )
    assert sent.status_code == 201
    version = post(bob_api, f"{version['id']}/save", {"split": {"kind": "file"}})
    found = {each["code"]: each for each in version["problems"]}
    assert (version["state"], version["step"]) == ("needs_choice", "check")
    missing = found["dataset.missing_field"]
    assert (missing["where"]["file"], missing["where"]["line"], missing["count"]) == ("test.jsonl", 3, 2)
    assert found["dataset.leaked_row"]["fixes"] == ["keep_one"]
    fixes = [{"code": "dataset.missing_field", "fix": "skip_rows"}, {"code": "dataset.leaked_row", "fix": "keep_one"}]
    post(bob_api, f"{version['id']}/choices", {"fixes": fixes})
    version = post(bob_api, f"{version['id']}/save")
    assert (version["state"], version["rows"]["train"], version["rows"]["eval"]) == ("ready", 39, 2)
    assert version["split"] == {"kind": "file", "file": "test.jsonl"}


def test_of_a_second_zip_with_several_files_one_is_chosen_and_read_its_own_way(cast: Cast, bob_api: Api) -> None:
    version = post(bob_api, f"{draft(bob_api, 'a.csv', f'text,label{chr(10)}{GOOD}'.encode())['id']}/choices")
    post(bob_api, f"{version['id']}/choices")
    packed = zipped(("one.csv", b"x\n1\n"), ("two.csv", b"new;pos\nother;neg\n"))
    path = f"dataset-versions/{version['id']}/second-file"
    refused = bob_api("post", path, {"file": SimpleUploadedFile("b.zip", packed), "delimiter": "x"}, form=True)
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "dataset.delimiter")
    form = {"file": SimpleUploadedFile("b.zip", packed), "header": "first"}
    assert bob_api("post", path, form, form=True).status_code == 201
    version = post(bob_api, f"{version['id']}/save", {"split": {"kind": "file"}})
    (told,) = [each for each in version["problems"] if each["severity"] == "error"]
    assert (told["code"], told["where"]["file"], told["fixes"]) == (
        "dataset.several_files", "b.zip", ["choose_second_entry"]
    )  # fmt: skip
    page = browser_of(cast.bob).get(DatasetVersion.objects.get().get_absolute_url(), follow=True).content.decode()
    assert 'value="choose_second_entry:two.csv"' in page
    fix = {"code": "dataset.several_files", "fix": "choose_second_entry", "value": "two.csv"}
    version = post(bob_api, f"{version['id']}/choices", {"fixes": [fix]})
    assert version["problems"][0]["code"] == "dataset.missing_field"  # its header is not the first file's
    form = {"file": SimpleUploadedFile("b.zip", packed), "entry": "three.csv"}
    assert bob_api("post", path, form, form=True).status_code == 201
    assert DatasetVersion.objects.get().asked["second"] == {"entry": "three.csv"}


@pytest.mark.parametrize("kind", ["fraction", "column"])
def test_a_second_file_that_would_not_be_held_out_is_refused(cast: Cast, bob_api: Api, kind: str) -> None:
    version = post(bob_api, f"{draft(bob_api, 'a.csv', f'text,label{chr(10)}{GOOD}'.encode())['id']}/choices")
    post(bob_api, f"{version['id']}/choices")
    client, address = browser_of(cast.bob), DatasetVersion.objects.get().get_absolute_url()
    before = stored_files()
    form = {"name": "n", "split": kind, "split_column": "label", "second": SimpleUploadedFile("held.csv", RAGGED)}
    answer = client.post(f"{address}save/", form)
    assert (answer.status_code, b"A second file was sent, but" in answer.content) == (422, True)
    saved = DatasetVersion.objects.get()
    assert (saved.step, saved.second_key, stored_files()) == ("save", "", before)
    again = SimpleUploadedFile("held.csv", f"text,label\n{GOOD}".encode())
    assert client.post(f"{address}save/", form | {"split": "file", "second": again}).status_code == 302
    assert DatasetVersion.objects.get().second_name == "held.csv"


def test_a_draft_is_discarded_with_its_file_and_its_dataset(
    bob_api: Api, django_capture_on_commit_callbacks: Any
) -> None:
    version = draft(bob_api, "a.csv", RAGGED)
    key = DatasetVersion.objects.get().upload_key
    with django_capture_on_commit_callbacks(execute=True):
        assert bob_api("delete", f"dataset-versions/{version['id']}").status_code == 204
    assert Dataset.objects.count() == 0
    assert not default_storage.exists(key)


def test_a_draft_that_is_being_read_can_be_discarded(bob_api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    version_id = uploaded(bob_api, "a.csv", RAGGED, step="columns").json()["version"]["id"]
    before = set(stored_files())

    def discarded(*given: Any, **named: Any) -> Report:
        assert bob_api("delete", f"dataset-versions/{version_id}").status_code == 204
        return check(*given, **named)

    monkeypatch.setattr(vetting, "check", discarded)
    run_check(version_id)
    assert DatasetVersion.objects.count() == 0
    assert set(stored_files()) <= before


def stored_files(folder: str = "") -> list[str]:
    if not default_storage.exists(folder):  # the first test of all
        return []
    folders, files = default_storage.listdir(folder)
    inner = [key for each in folders for key in stored_files(f"{folder}/{each}".lstrip("/"))]
    return [f"{folder}/{name}" for name in files] + inner


def test_a_file_that_nothing_can_be_made_of_is_no_draft(bob_api: Api) -> None:
    version = draft(bob_api, "a.csv", b"\x89PNG\r\n\x1a\n")
    assert (version["state"], version["step"], version["upload_kept"]) == ("refused", "", False)


def test_columns_that_cannot_be_so_are_said_at_once(cast: Cast, bob_api: Api) -> None:
    version = draft(bob_api, "a.csv", b"head,stars,story\n" + TITLES)
    again = post(bob_api, f"{version['id']}/look", {"mapping": {"text": "story", "label": "story"}})
    assert [each["code"] for each in again["problems"]] == ["dataset.mapping"]
    page = browser_of(cast.bob).get(DatasetVersion.objects.get().get_absolute_url() + "columns/").content.decode()
    assert "is asked for as more than one part" in page


def test_wrong_columns_lead_back_not_out(cast: Cast, bob_api: Api) -> None:
    version = draft(bob_api, "a.csv", b"head,stars,story\n" + TITLES)
    wrong = post(
        bob_api,
        f"{version['id']}/choices",
        {"task": "text-classification", "mapping": {"text": "stars", "label": "story"}},
    )
    assert (wrong["state"], wrong["step"], wrong["upload_kept"]) == ("needs_choice", "check", True)
    address = DatasetVersion.objects.get().get_absolute_url()
    client = browser_of(cast.bob)
    assert "30 different" not in client.get(f"{address}check/").content.decode()
    assert client.get(f"{address}columns/").status_code == 200
    form = {"go": "check", "shape": PREDICTED, f"map.{PREDICTED}.text": "story", f"map.{PREDICTED}.label": ""}
    refused = client.post(f"{address}columns/", form)
    assert (refused.status_code, b"No column is chosen as label" in refused.content) == (422, True)


def test_only_members_go_through_the_steps(cast: Cast, bob_api: Api) -> None:
    version = draft(bob_api, "a.csv", RAGGED)
    address = DatasetVersion.objects.get().get_absolute_url()
    vera = browser_of(cast.vera)
    assert vera.get(f"{address}columns/")["Location"] == address
    assert vera.get(address).status_code == 200
    for step in ("columns", "check", "save", "discard"):
        assert vera.post(f"{address}{step}/", {}).status_code == 403
        assert browser_of(cast.charlie).post(f"{address}{step}/", {}).status_code == 404
    assert api_of(cast.vera, cast.team)("post", f"dataset-versions/{version['id']}/look", {}).status_code == 403
    assert vera.get(f"{address}discard/").status_code == 405


def test_a_list_shows_the_saved_version_and_the_draft_beside_it(cast: Cast, bob_api: Api) -> None:
    first = checked(bob_api, "reviews.csv", f"text,label\n{GOOD}".encode())
    second = SimpleUploadedFile("more.csv", RAGGED)
    browser_of(cast.bob).post(f"/datasets/upload/?dataset={first['dataset']}", {"file": second})
    page = browser_of(cast.bob).get("/datasets/").content.decode()
    assert "draft v2" in page
    assert f'/datasets/{first["dataset"]}/v1/">reviews' in page
    draft(bob_api, "new.csv", RAGGED)
    assert "Draft</span>" in browser_of(cast.bob).get("/datasets/").content.decode()


ODD = ["\0", "x" * 5000, "-1", "<script>"]


@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
def test_odd_forms_are_refused_with_a_reason_and_break_nothing(cast: Cast, bob_api: Api, odd: str) -> None:
    version = draft(bob_api, "a.csv", f"text,label\n{GOOD}".encode())
    client, address = browser_of(cast.bob), DatasetVersion.objects.get().get_absolute_url()
    client.raise_request_exception = False
    names = ("encoding", "delimiter", "header", "entry", "shape", f"map.{PREDICTED}.text", "fix.dataset.not_utf8", "go")
    for name in names:
        answer = client.post(f"{address}columns/", {name: odd})
        assert answer.status_code in (302, 400, 422), name
        run_check(version["id"])
        assert client.get(f"{address}columns/").status_code == 200
    post(bob_api, f"{version['id']}/look")
    post(bob_api, f"{version['id']}/choices", {"header": "first"})
    assert client.post(f"{address}check/", {f"fix.{odd}": odd}).status_code in (302, 400, 422)
    post(bob_api, f"{version['id']}/choices")
    for name in ("name", "licence", "split", "eval_percent", "seed"):
        answer = client.post(f"{address}save/", {"name": "n", "split": "fraction", "eval_percent": "10", name: odd})
        assert answer.status_code in (302, 400, 422), name
        if answer.status_code == 302:
            run_check(version["id"])
            break
    for step in ("columns", "check", "save"):
        assert client.get(f"{address}{step}/").status_code in (200, 302, 404)
