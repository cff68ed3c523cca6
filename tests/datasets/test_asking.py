"""What a file is sent with: how to read it, its licence, its name; the same words and refusals at every entry."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from tests.conftest import Api
from tests.datasets.test_archives import zipped
from tests.datasets.test_deciding import look
from tests.datasets.test_receiving import add
from tests.datasets.test_vetting import uploaded
from webapp.datasets.models import Dataset, DatasetVersion, Upload
from webapp.datasets.vetting import run_check

ROWS = "".join(f"caf\xe9 {n};{'pos' if n % 2 else 'neg'}\n" for n in range(20)).encode("windows-1252")
PACKED = zipped(("one.csv", ROWS), ("two.csv", b"a,b\n1,2\n"))
SENT = {"encoding": "windows-1252", "delimiter": ";", "header": "none", "entry": "one.csv", "licence": "CC0"}
MAPPING = {"text": "column_1", "label": "column_2"}
WAYS = ("dataset", "version", "chunks")


def send(api: Api, way: str, file_name: str, content: bytes, **sent: Any) -> Any:
    """The answer to a file, sent at one of three entries: as a new dataset, as a version of it, or announced."""
    in_form = {key: json.dumps(value) if isinstance(value, dict) else value for key, value in sent.items()}
    if way == "dataset":
        return uploaded(api, file_name, content, **in_form)
    if way == "version":
        dataset = Dataset.objects.get(pk=uploaded(api, "a.jsonl", b"{}").json()["id"])
        form = {"file": SimpleUploadedFile(file_name, content), **in_form}
        return api("post", f"datasets/{dataset.pk}/versions", form, form=True)
    return api("post", "uploads", {"file_name": file_name, "bytes": len(content), **sent})


def checked_version(api: Api, way: str, answer: Any, content: bytes) -> DatasetVersion:
    if way == "chunks":
        version = add(Upload.objects.get(pk=answer.json()["id"]), 0, content)
        assert version is not None
    else:
        version = DatasetVersion.objects.latest("pk")
    run_check(version.pk)
    return DatasetVersion.objects.select_related("dataset").get(pk=version.pk)


@pytest.mark.parametrize("way", WAYS)
def test_how_to_read_a_file_can_be_said_with_it(bob_api: Api, way: str) -> None:
    answer = send(bob_api, way, "a.zip", PACKED, mapping=MAPPING, **SENT)
    assert answer.status_code == 201, answer.json()
    version = checked_version(bob_api, way, answer, PACKED)
    assert (version.state, version.rows["good"], version.dataset.licence) == ("ready", 20, "CC0"), version.problems
    assert bob_api("get", f"dataset-versions/{version.pk}/rows").json()["items"][0]["text"] == "café 0"
    assert bob_api("get", f"datasets/{version.dataset_id}").json()["licence"] == "CC0"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("field", ["encoding", "delimiter", "header"])
def test_what_is_not_known_is_refused_alike(bob_api: Api, way: str, field: str) -> None:
    answer = send(bob_api, way, "a.csv", ROWS, **{field: "klingon"})
    told = answer.json()["error"]
    assert (answer.status_code, told["code"]) == (422, f"dataset.{field}")
    assert (f"`klingon` is no {field}" in told["message"], "Choose one of" in told["hint"]) == (True, True)


def test_an_entry_that_a_zip_lacks_is_refused_by_the_check(bob_api: Api) -> None:
    answer = send(bob_api, "dataset", "a.zip", PACKED, entry="three.csv")
    version = checked_version(bob_api, "dataset", answer, PACKED)
    assert [each["code"] for each in version.problems] == ["dataset.entry"]


def test_the_licence_of_a_draft_waits_for_its_saving(bob_api: Api) -> None:
    first = uploaded(bob_api, "a.csv", b"text,label\na,x\nb,y\nc,x\n", licence="MIT").json()
    run_check(first["version"]["id"])
    form = {"file": SimpleUploadedFile("b.csv", b"text,label\nd,x\ne,y\nf,x\n"), "step": "columns", "licence": "CC0"}
    draft = bob_api("post", f"datasets/{first['id']}/versions", form, form=True).json()["id"]
    run_check(draft)
    for body in ({}, {"fixes": [{"code": "dataset.class_too_small", "fix": "accept"}]}):
        assert bob_api("post", f"dataset-versions/{draft}/choices", body).status_code == 201
        run_check(draft)
    assert look(bob_api, draft)["step"] == "save"
    assert Dataset.objects.get().licence == "MIT"
    bob_api("post", f"dataset-versions/{draft}/save", {})
    assert Dataset.objects.get().licence == "CC0"
    run_check(draft)
    assert "licence" not in DatasetVersion.objects.get(pk=draft).asked  # read again, it does not come back


def test_a_licence_has_a_length(bob_api: Api) -> None:
    assert uploaded(bob_api, "a.csv", ROWS, licence="x" * 121).status_code == 422


NAMES = {
    "a\nb.csv": "a\N{REPLACEMENT CHARACTER}b.csv",
    "\u202evsc.exe.csv": "\N{REPLACEMENT CHARACTER}vsc.exe.csv",
    "n" * 4000 + ".csv": "n" * 255,
    "CON": "CON",
    "..": "..",
    "../../etc/passwd": "../../etc/passwd",
    "C:\\con.csv": "C:\\con.csv",
    "\N{WOMAN}\u200d\N{WOMAN}\u200d\N{GIRL}.csv": "\N{WOMAN}\u200d\N{WOMAN}\u200d\N{GIRL}.csv",
    "<b>.csv": "<b>.csv",
}


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_81_a_name_is_shown_as_it_is_and_never_a_path(bob_api: Api, name: str) -> None:
    content = b"text,label\na,x\nb,y\nc,x\n"
    version = checked_version(bob_api, "chunks", send(bob_api, "chunks", name, content, name="names"), content)
    assert (version.state, version.upload_name) == ("ready", NAMES[name])
    remarks = [each for each in version.problems if each["code"] == "dataset.file_name"]
    assert [each["severity"] for each in remarks] == (["notice"] if NAMES[name] != name else [])


def test_81_a_name_with_nul_is_refused_at_the_door(bob_api: Api) -> None:
    answer = send(bob_api, "chunks", "a\0b.csv", ROWS)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "malformed")
    assert Upload.objects.count() == 0


@pytest.mark.parametrize("field", ["name", "licence", "task", "entry"])
def test_a_text_that_no_database_takes_is_refused_by_its_name(bob_api: Api, field: str) -> None:
    answer = uploaded(bob_api, "a.csv", ROWS, **{field: "a\0b"})
    assert answer.status_code == 400
    assert f"`{field}`: A text holds a NUL character" in answer.json()["error"]["message"]
