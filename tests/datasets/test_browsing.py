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
from tests.datasets.test_deciding import checked
from webapp.accounts.models import AuditEntry
from webapp.datasets import canonical
from webapp.datasets.browsing import Wanted, find_rows, rows_page
from webapp.datasets.models import DatasetVersion
from webapp.datasets.reading import read
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


def test_the_page_shows_rows_with_addresses(cast: Cast, stored: DatasetVersion) -> None:
    client = Client()
    client.force_login(cast.vera)
    address = f"{stored.get_absolute_url()}rows/"
    text = client.get(address, {"start": 1500}).content.decode()
    assert 'id="row-1501"' in text
    assert "text 1500 of many" in text
    assert "?start=1550" in text
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


@pytest.mark.slow
def test_a_page_in_the_middle_of_a_million_rows_is_fast(tmp_path: Path, stored: DatasetVersion) -> None:
    index, size = canonical.RowIndex(), 0
    with (tmp_path / "rows.jsonl").open("wb") as file:
        for number in range(1_000_000):
            line = b'{"split":"train","text":"row %d with some words in it","label":"a"}\n' % number
            index.add(size)
            size += file.write(line)
    stored.file_key = store_file("1/versions", tmp_path / "rows.jsonl").key
    stored.row_index = {"stride": index.stride, "offsets": index.offsets}
    stored.rows = stored.rows | {"good": 1_000_000}
    for place in (0, 499_999, 999_950):
        start = time.perf_counter()
        rows = rows_page(stored, place, 50)
        assert time.perf_counter() - start < 0.3
        assert rows[0]["text"].startswith(f"row {place} ")
    start = time.perf_counter()
    assert find_rows(stored, Wanted(words="nowhere"), 0, 50).next is not None
    assert time.perf_counter() - start < 1.5
