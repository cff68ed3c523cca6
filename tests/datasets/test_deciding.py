"""After the check a person decides: fixes, encodings, entries, warnings; each makes a new version, nothing is lost."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.files.storage import default_storage
from django.utils import timezone

from tests.conftest import Api, Cast, api_of
from tests.datasets.test_archives import zipped
from tests.datasets.test_vetting import uploaded
from webapp.datasets.models import DatasetVersion
from webapp.datasets.vetting import forget_old_uploads, run_check

GOOD = "".join(f"row {n},{'pos' if n % 2 else 'neg'}\n" for n in range(40))
RAGGED = f"text,label\n{GOOD}too,many,values\n".encode()
LATIN = f"text,label\n{GOOD}café,pos\n".encode("windows-1252")
TWICE = f"text,label\n{GOOD}{GOOD}".encode()


def checked(api: Api, name: str, content: bytes, **fields: Any) -> dict[str, Any]:
    version_id = uploaded(api, name, content, **fields).json()["version"]["id"]
    run_check(version_id)
    return look(api, version_id)


def look(api: Api, version_id: int) -> dict[str, Any]:
    answer: dict[str, Any] = api("get", f"dataset-versions/{version_id}").json()
    return answer


def chosen(api: Api, version: dict[str, Any], *fixes: dict[str, str], **wishes: Any) -> dict[str, Any]:
    answer = api("post", f"dataset-versions/{version['id']}/choices", {"fixes": list(fixes), **wishes})
    assert answer.status_code == 201, answer.json()
    run_check(answer.json()["id"])
    return look(api, answer.json()["id"])


def test_skipping_a_bad_row_makes_a_new_version_without_it(bob_api: Api) -> None:
    first = checked(bob_api, "a.csv", RAGGED)
    assert (first["state"], first["problems"][0]["fixes"], first["sha256"]) == ("needs_choice", ["skip_rows"], "")
    second = chosen(bob_api, first, {"code": "dataset.ragged_row", "fix": "skip_rows"})
    assert (second["state"], second["number"], second["made_from"]) == ("ready", 2, first["id"])
    assert second["rows"]["good"] == 40
    kept = second["problems"][0]
    assert (kept["severity"], kept["where"]["line"]) == ("notice", 42)
    assert "left out, as chosen" in kept["message"]
    assert look(bob_api, first["id"])["state"] == "needs_choice"


def test_an_encoding_is_converted_only_when_chosen(bob_api: Api) -> None:
    first = checked(bob_api, "a.csv", LATIN)
    assert first["state"] == "needs_choice"
    offers = {each["value"]: each["changes"] for each in first["offers"]["convert_encoding"]}
    assert offers["windows-1252"] == [{"line": 42, "text": "café,pos"}]
    without = bob_api(
        "post",
        f"dataset-versions/{first['id']}/choices",
        {"fixes": [{"code": "dataset.not_utf8", "fix": "convert_encoding"}]},
    )
    assert (without.status_code, without.json()["error"]["code"]) == (422, "dataset.encoding")
    second = chosen(bob_api, first, {"code": "dataset.not_utf8", "fix": "convert_encoding", "value": "windows-1252"})
    assert second["state"] == "ready"
    rows = bob_api("get", f"dataset-versions/{second['id']}/rows?offset=40").json()["items"]
    assert rows[0]["text"] == "café"


def test_warnings_wait_where_that_was_asked_for(bob_api: Api) -> None:
    assert checked(bob_api, "a.csv", TWICE)["state"] == "ready"
    first = checked(bob_api, "b.csv", TWICE, warnings="ask")
    assert (first["state"], first["problems"][0]["code"]) == ("needs_choice", "dataset.duplicate_row")
    accepted = chosen(bob_api, first, {"code": "dataset.duplicate_row", "fix": "accept"}, warnings="ask")
    assert (accepted["state"], accepted["rows"]["good"]) == ("ready", 80)
    once = chosen(bob_api, first, {"code": "dataset.duplicate_row", "fix": "keep_one"}, warnings="ask")
    assert (once["state"], once["rows"]["good"], once["labels"]) == ("ready", 40, {"neg": 20, "pos": 20})
    assert uploaded(bob_api, "c.csv", TWICE, warnings="maybe").status_code == 422


def test_a_zip_of_several_files_waits_for_one(bob_api: Api) -> None:
    content = zipped(("one.csv", f"text,label\n{GOOD}".encode()), ("two.csv", b"a,b\n"))
    first = checked(bob_api, "a.zip", content)
    second = chosen(bob_api, first, {"code": "dataset.several_files", "fix": "choose_entry", "value": "one.csv"})
    assert (second["state"], second["format"]) == ("ready", "CSV, delimiter comma, one.csv in a zip")


def test_columns_and_split_can_be_chosen_again(bob_api: Api) -> None:
    first = checked(bob_api, "a.csv", b"text,label\n" + b"bad\n" + GOOD.encode())
    again = chosen(
        bob_api,
        first,
        {"code": "dataset.ragged_row", "fix": "skip_rows"},
        mapping={"text": "label"},
        task="causal-lm",
        split={"kind": "fraction", "fraction": 0.25, "seed": 3},
    )
    assert (again["task"], again["mapping"], again["split"]["seed"]) == ("causal-lm", {"text": "label"}, 3)
    assert first["file_columns"] == ["text", "label"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"fixes": [{"code": "dataset.ragged_row", "fix": "strip_nul"}]}, "dataset.fix"),
        ({"fixes": [{"code": "dataset.nothing", "fix": "skip_rows"}]}, "dataset.fix"),
        ({"fixes": [{"code": "", "fix": "skip_rows"}]}, "dataset.fixes"),
        ({"encoding": "klingon"}, "dataset.encoding"),
        ({"delimiter": "x"}, "dataset.delimiter"),
        ({"fixes": "all"}, "invalid"),
        ({"mapping": {"text": 5}}, "invalid"),
    ],
)
def test_what_is_not_on_offer_is_refused(bob_api: Api, body: dict[str, Any], code: str) -> None:
    version = checked(bob_api, "a.csv", RAGGED)
    answer = bob_api("post", f"dataset-versions/{version['id']}/choices", body)
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == code
    assert DatasetVersion.objects.count() == 1


def test_only_members_of_the_team_decide(bob_api: Api, charlie_api: Api, cast: Cast) -> None:
    version = checked(bob_api, "a.csv", RAGGED)
    body = {"fixes": [{"code": "dataset.ragged_row", "fix": "skip_rows"}]}
    path = f"dataset-versions/{version['id']}/choices"
    assert charlie_api("post", path, body).status_code == 404
    assert api_of(cast.vera, cast.team)("post", path, body).status_code == 403
    assert charlie_api("get", f"dataset-versions/{version['id']}/problems.csv").status_code == 404


def test_an_upload_is_kept_while_there_is_a_choice_and_for_a_week(bob_api: Api) -> None:
    version = checked(bob_api, "a.csv", RAGGED)
    key = DatasetVersion.objects.get(pk=version["id"]).upload_key
    forget_old_uploads()
    assert default_storage.exists(key)
    second = chosen(bob_api, version, {"code": "dataset.ragged_row", "fix": "skip_rows"})
    assert default_storage.exists(key)  # the first version still offers other choices
    assert not second["upload_kept"]
    DatasetVersion.objects.update(created_at=timezone.now() - timedelta(days=8))
    forget_old_uploads()
    assert not default_storage.exists(key)
    late = bob_api("post", f"dataset-versions/{version['id']}/choices", {"fixes": []})
    assert (late.status_code, late.json()["error"]["code"]) == (409, "dataset.upload_gone")


def test_the_full_list_of_problems_is_csv_that_no_spreadsheet_computes(bob_api: Api) -> None:
    rows = "".join(f'"=HYPERLINK({n})",x,y\n' for n in range(30))
    version = checked(bob_api, "a.csv", f"text,label\n{GOOD}{rows}".encode())
    assert len(version["problems"]) == 20
    answer = bob_api("get", f"dataset-versions/{version['id']}/problems.csv")
    lines = b"".join(answer.streaming_content if not answer.is_async else _drained(answer)).decode().splitlines()
    assert lines[0] == "severity,code,line,row,column,field,count,message,hint,excerpt"
    assert len(lines) == 31
    assert lines[1].startswith("error,dataset.ragged_row,42,41,3,,1,")
    assert ",'=HYPERLINK(0)" in lines[1].replace('"', "")
    assert answer["Content-Disposition"].startswith("attachment")


def _drained(answer: Any) -> list[bytes]:
    async def read() -> list[bytes]:
        return [piece async for piece in answer.streaming_content]

    return async_to_sync(read)()
