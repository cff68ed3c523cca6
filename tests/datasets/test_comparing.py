"""What a version changed: by content, whatever the order; equal rows are counted."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import Api, Cast
from tests.pages.test_access import browser_of
from webapp.datasets import comparing
from webapp.datasets.comparing import difference
from webapp.datasets.models import DatasetVersion, VersionState
from webapp.storing import store

Rows = list[dict[str, Any]]


def row(text: str, label: str = "a", split: str = "train") -> dict[str, Any]:
    return {"text": text, "label": label, "split": split}


def kept(version: DatasetVersion, rows: Rows) -> DatasetVersion:
    version.file_key = store("1/versions", [b"".join(orjson.dumps(each) + b"\n" for each in rows)]).key
    version.rows = {"read": len(rows), "good": len(rows), "bad": 0, "train": len(rows), "eval": 0}
    version.save()
    return version


def pair(version: DatasetVersion, old: Rows, new: Rows) -> tuple[DatasetVersion, DatasetVersion]:
    later = DatasetVersion(dataset=version.dataset, number=2, state=VersionState.READY, upload_bytes=1)
    return kept(version, old), kept(later, new)


def test_added_removed_and_changed_rows_are_told_apart(version: DatasetVersion) -> None:
    older, newer = pair(
        version,
        [row("stays"), row("goes"), row("turns", "a"), row("twice"), row("twice")],
        [row("turns", "b"), row("twice"), row("stays", split="eval"), row("comes")],
    )
    found = difference(older, newer)
    assert (found.added, found.removed, found.changed) == (1, 2, 1)
    assert found.added_rows == [(4, {"text": "comes", "label": "a"})]
    assert [each["text"] for _, each in found.removed_rows] == ["goes", "twice"]
    assert found.changed_rows == [(1, {"text": "turns", "label": "b"})]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"prompt": "p", "completion": "a"}, {"prompt": "p", "completion": "b"}),
        ({"source": "p", "target": "a"}, {"source": "p", "target": "b"}),
        (
            {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "a"}]},
            {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "b"}]},
        ),
    ],
    ids=["completion", "target", "last turn"],
)
def test_another_answer_to_the_same_input_is_a_change(
    version: DatasetVersion, old: dict[str, Any], new: dict[str, Any]
) -> None:
    found = difference(*pair(version, [old], [new]))
    assert (found.added, found.removed, found.changed) == (0, 0, 1)


def test_plain_texts_are_added_and_removed_never_changed(version: DatasetVersion) -> None:
    found = difference(*pair(version, [{"text": "a"}], [{"text": "b"}]))
    assert (found.added, found.removed, found.changed) == (1, 1, 0)


def test_other_order_and_other_sides_are_no_difference(version: DatasetVersion) -> None:
    rows = [row(str(number)) for number in range(20)]
    turned = [each | {"split": "eval"} for each in reversed(rows)]
    found = difference(*pair(version, rows, turned))
    assert (found.added, found.removed, found.changed) == (0, 0, 0)


TEXTS = st.lists(st.sampled_from("abcdef"), max_size=12)


@given(TEXTS, TEXTS)
@settings(max_examples=60, deadline=None)
def test_as_many_are_added_and_removed_as_counting_says(old: list[str], new: list[str]) -> None:
    hashes = [np.array([ord(each) for each in texts], np.uint64) for texts in (old, new)]
    gone, come = comparing._without(hashes[0], hashes[1]), comparing._without(hashes[1], hashes[0])
    assert Counter(each for each, mark in zip(old, gone, strict=True) if mark) == Counter(old) - Counter(new)
    assert Counter(each for each, mark in zip(new, come, strict=True) if mark) == Counter(new) - Counter(old)


def test_page_and_api_say_the_same(cast: Cast, bob_api: Api, charlie_api: Api, version: DatasetVersion) -> None:
    older, newer = pair(version, [row("goes"), row("stays")], [row("stays"), row("<b>comes")])
    page = browser_of(cast.bob).get(f"{newer.get_absolute_url()}changes/").content.decode()
    assert "What reviews v2 changed" in page
    assert "&lt;b&gt;comes" in page
    said = bob_api("get", f"dataset-versions/{newer.pk}/changes?since={older.pk}").json()
    assert (said["added"], said["removed"], said["changed"]) == (1, 1, 0)
    assert charlie_api("get", f"dataset-versions/{newer.pk}/changes?since={older.pk}").status_code == 404
    assert browser_of(cast.bob).get(f"{older.get_absolute_url()}changes/").status_code == 404
    assert b"What v2 changed" in browser_of(cast.bob).get(newer.get_absolute_url()).content


def test_too_many_rows_and_other_datasets_are_refused(
    cast: Cast, bob_api: Api, version: DatasetVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    older, newer = pair(version, [row("a"), row("b")], [row("c")])
    monkeypatch.setattr(comparing, "ROWS_AT_MOST", 1)
    path = f"dataset-versions/{newer.pk}/changes?since={older.pk}"
    assert bob_api("get", path).status_code == 422
    assert (
        b"A page compares versions of up to" in browser_of(cast.bob).get(f"{newer.get_absolute_url()}changes/").content
    )
    monkeypatch.undo()
    monkeypatch.setattr(comparing, "BYTES_AT_MOST", 1)
    DatasetVersion.objects.update(bytes=2)
    assert bob_api("get", path).status_code == 422
    monkeypatch.undo()
    DatasetVersion.objects.filter(pk=older.pk).update(file_key="1/versions/gone")
    assert bob_api("get", path).status_code == 409
    assert b"are gone" in browser_of(cast.bob).get(f"{newer.get_absolute_url()}changes/").content
    DatasetVersion.objects.filter(pk=older.pk).update(file_key="")
    assert bob_api("get", path).status_code == 422
    assert b"What v2 changed" not in browser_of(cast.bob).get(newer.get_absolute_url()).content


def test_chats_are_shown_turn_by_turn(cast: Cast, version: DatasetVersion) -> None:
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
    _, newer = pair(version, [], [{"messages": turns}])
    page = browser_of(cast.bob).get(f"{newer.get_absolute_url()}changes/").content.decode()
    assert '<b class="small">assistant</b> hello' in page
