"""Browsing rows: far down as fast as at the top, searched in stretches, each row with its address, downloaded whole."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import Client

from tests.conftest import Api, Cast
from tests.datasets.test_deciding import checked, chosen
from webapp.accounts.models import AuditEntry
from webapp.datasets import canonical
from webapp.datasets.browsing import Wanted, find_rows, rows_page
from webapp.datasets.models import DatasetVersion
from webapp.datasets.reading import read
from webapp.datasets.remarks import Remarks
from webapp.storing import store_file

ROWS = "".join(f"text {n} of many,{'pos' if n % 3 else 'neg'}\n" for n in range(2000))


@pytest.fixture
def stored(bob_api: Api) -> DatasetVersion:
    version = checked(bob_api, "a.csv", f"text,label\n{ROWS}".encode())
    return DatasetVersion.objects.get(pk=version["id"])


def test_a_page_starts_where_it_was_asked_to(stored: DatasetVersion) -> None:
    for place in (0, 1, 255, 256, 257, 1023, 1999, 2000, 10**9):
        assert [row["text"] for row in rows_page(stored, place, 2)] == [
            f"text {n} of many" for n in range(place, min(place + 2, 2000))
        ]


def test_the_index_stays_small_and_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canonical, "INDEXED_AT_MOST", 3)
    (tmp_path / "upload").write_text("".join(json.dumps({"text": f"t{n}"}) + "\n" for n in range(5000)))
    report = read(tmp_path / "upload", "a.jsonl", tmp_path / "rows.jsonl")
    index, content = report.row_index, (tmp_path / "rows.jsonl").read_bytes()
    assert len(index["offsets"]) <= 3
    for place, offset in enumerate(index["offsets"]):
        assert json.loads(content[offset:].split(b"\n", 1)[0])["text"] == f"t{place * index['stride']}"


def test_rows_are_found_by_words_label_and_side(bob_api: Api, stored: DatasetVersion) -> None:
    path = f"dataset-versions/{stored.pk}/rows"
    found = bob_api("get", f"{path}?q=TEXT 19&label=neg&limit=5").json()
    assert [row["label"] for row in found["items"]] == ["neg"] * 5
    assert all("text 19" in row["text"] for row in found["items"])
    assert found["items"][0]["text"] == f"text {found['numbers'][0] - 1} of many"
    held = bob_api("get", f"{path}?side=eval&limit=200").json()
    assert {row["split"] for row in held["items"]} == {"eval"}
    assert bob_api("get", f"{path}?side=moon").status_code == 422
    on = bob_api("get", f"{path}?label=neg&limit=5&offset={found['numbers'][-1]}").json()
    assert on["numbers"][0] > found["numbers"][-1]


def test_a_search_says_how_far_it_came(stored: DatasetVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webapp.datasets.browsing.SEARCH_SECONDS", 0)
    first = find_rows(stored, Wanted(words="text 1999 "), 0, 10)
    assert (first.rows, first.next) == ([], 512)
    place: int | None = first.next
    found: list[Any] = []
    while place is not None:
        part = find_rows(stored, Wanted(words="text 1999 "), place, 10)
        found, place = found + part.rows, part.next
    assert [number for number, _ in found] == [2000]


REMARKED = [
    {"text": "" if n in (3, 700) else f"text {n}", "label": "ab"[n % 2], **({"text_pair": " "} if n == 5 else {})}
    for n in range(800)
]


def test_rows_are_found_by_what_was_remarked_on_them(cast: Cast, bob_api: Api) -> None:
    lines = [json.dumps(row) for row in [*REMARKED, REMARKED[7], REMARKED[9]]]
    lines.insert(2, "{]")
    first = checked(bob_api, "a.jsonl", "\n".join(lines).encode())
    fixes = [{"code": "dataset.json_syntax", "fix": "skip_rows"}]
    version = chosen(bob_api, first, *fixes)
    path = f"dataset-versions/{version['id']}/rows"
    empty = bob_api("get", f"{path}?problem=dataset.empty_text&limit=2").json()
    assert (empty["numbers"], empty["next"]) == ([4, 6], 6)
    assert bob_api("get", f"{path}?problem=empty_text&offset=6").json()["numbers"] == [701]
    assert bob_api("get", f"{path}?problem=empty_text&label=b").json()["numbers"] == [4, 6]
    assert bob_api("get", f"{path}?problem=duplicate_row").json()["numbers"] == [801, 802]
    assert bob_api("get", f"{path}?problem=nothing").json() == {"items": [], "numbers": [], "next": None}
    client = Client()
    client.force_login(cast.bob)
    address = DatasetVersion.objects.get(pk=version["id"]).get_absolute_url()
    assert "rows/?problem=empty_text" in client.get(address).content.decode()
    page = client.get(f"{address}rows/?problem=empty_text").content.decode()
    assert '<option value="empty_text" selected>empty text (3)</option>' in page
    assert 'id="row-701"' in page


def test_remarks_move_up_where_rows_before_them_are_not_kept(bob_api: Api) -> None:
    rows = [REMARKED[0], REMARKED[0], *REMARKED[1:6]]
    first = checked(bob_api, "a.jsonl", "\n".join(map(json.dumps, rows)).encode())
    version = chosen(bob_api, first, {"code": "dataset.duplicate_row", "fix": "keep_one"})
    found = bob_api("get", f"dataset-versions/{version['id']}/rows?problem=empty_text").json()
    assert found["numbers"] == [4, 6]
    assert [row["text"] for row in found["items"]] == ["", "text 5"]


def test_a_row_has_a_page_with_all_of_it(cast: Cast, bob_api: Api) -> None:
    long = "word " * 3000
    rows = [{"text": f"{long}{n}", "label": "ab"[n % 2]} for n in range(8)] + [{"text": " ", "label": "a"}]
    version = checked(bob_api, "a.jsonl", "\n".join(map(json.dumps, rows)).encode())
    address = DatasetVersion.objects.get(pk=version["id"]).get_absolute_url()
    client = Client()
    client.force_login(cast.vera)
    page = client.get(f"{address}rows/3/").content.decode()
    assert f"{long}2" in page
    assert 'href="../4/"' in page
    assert "Empty text" in client.get(f"{address}rows/9/").content.decode()
    for place in (0, 10, 10**17):
        assert client.get(f"{address}rows/{place}/").status_code == 404
    client.force_login(cast.charlie)
    assert client.get(f"{address}rows/3/").status_code == 404


@pytest.mark.parametrize("words", ['say "hi', "back\\slash", "É", "STRASSE", "tab\t", "plain"])
def test_a_search_finds_what_stands_escaped_in_the_file(bob_api: Api, words: str) -> None:
    texts = ['say "hi"', "a back\\slash", "é", "straße", "a tab\there", "plain", "none"]
    rows = [{"text": text, "label": "ab"[n % 2]} for n, text in enumerate(texts)]
    version = checked(bob_api, "a.jsonl", "\n".join(map(json.dumps, rows)).encode())
    found = find_rows(DatasetVersion.objects.get(pk=version["id"]), Wanted(words=words), 0, 10)
    assert len(found.rows) == 1


def test_the_page_shows_rows_with_addresses(cast: Cast, stored: DatasetVersion) -> None:
    client = Client()
    client.force_login(cast.vera)
    address = f"{stored.get_absolute_url()}rows/"
    text = client.get(address, {"start": 1500}).content.decode()
    assert 'id="row-1501"' in text
    assert "text 1500 of many" in text
    assert "?start=1550" in text
    assert 'id="row-42"' in client.get(address, {"row": "42"}).content.decode()
    assert "No row fits" in client.get(address, {"q": "<script>alert(1)</script>"}).content.decode()
    for odd in ({"start": "-1"}, {"start": "x" * 50}, {"start": "9" * 11}, {"side": "up"}):
        assert client.get(address, odd).status_code == 200
    assert client.get(address, {"label": "\0"}).status_code == 400
    client.force_login(cast.charlie)
    assert client.get(address).status_code == 404
    assert client.get(f"{stored.get_absolute_url()}download/").status_code == 404


def test_the_download_is_the_stored_file(cast: Cast, bob_api: Api, stored: DatasetVersion) -> None:
    answer = bob_api("get", f"dataset-versions/{stored.pk}/download")

    async def content() -> bytes:
        return b"".join([piece async for piece in answer.streaming_content])

    assert hashlib.sha256(async_to_sync(content)()).hexdigest() == stored.sha256
    assert AuditEntry.objects.filter(action="dataset.download").count() == 1


REMARKED_PAGES: list[dict[str, Any]] = [
    {"problem": "odd"}, {"problem": "empty_text", "start": 399_950}, {"problem": "empty_text", "start": 999_000},
]  # fmt: skip


@pytest.mark.slow
def test_a_page_in_the_middle_of_a_million_rows_is_fast(cast: Cast, tmp_path: Path, stored: DatasetVersion) -> None:
    index, size = canonical.RowIndex(), 0
    with (tmp_path / "rows.jsonl").open("wb") as file:
        for number in range(1_000_000):
            label = b"neg" if number == 700_000 else b"pos"
            line = b'{"split":"train","text":"row %d with some words in it","label":"%b"}\n' % (number, label)
            index.add(size)
            size += file.write(line)
    stored.file_key = store_file("1/versions", tmp_path / "rows.jsonl").key
    remarks = Remarks()
    for number in (*range(1, 400_000, 2), 999_999):
        remarks.add(number, {"empty_text"})
    remarks.add(999_999, {"odd"})
    counts = remarks.write(tmp_path / "bits", 1_000_000, ())
    stored.remarks_key = store_file("1/remarks", tmp_path / "bits").key
    stored.row_index = {"stride": index.stride, "offsets": index.offsets, "remarks": counts}
    stored.rows = stored.rows | {"good": 1_000_000}
    stored.save()
    client, address = Client(), f"{stored.get_absolute_url()}rows/"
    client.force_login(cast.bob)
    client.get(address)  # templates are read once
    for asked in ({"start": 0}, {"start": 499_999}, {"start": 999_950}, *REMARKED_PAGES):
        took = []
        for _ in range(3):
            start = time.perf_counter()
            page = client.get(address, asked).content.decode()
            took.append(time.perf_counter() - start)
        assert min(took) < 0.3, asked
        assert f"row {asked.get('start', 0) if 'problem' not in asked else 999_998} with" in page
    start, place, looks = time.perf_counter(), 0, 0
    while (found := find_rows(stored, Wanted(label="neg"), place, 1)).next is not None and not found.rows:
        place, looks = found.next, looks + 1
    assert [number for number, _ in found.rows] == [700_001]
    assert time.perf_counter() - start < 1 + looks
