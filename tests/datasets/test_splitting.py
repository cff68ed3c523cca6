"""The two sides: exact shares, every label in training, repeats together, leaks found; against a plain reference."""

from __future__ import annotations

import json
from array import array
from collections import defaultdict
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from webapp.datasets.reading import Report, read
from webapp.datasets.splitting import GROUP_SHIFT, repeats, sort_keys, thresholds

GROUPED = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 12)), min_size=1, max_size=80)


def keys_of(rows: list[tuple[int, int]], side: int = 0) -> array[int]:
    return array("Q", [group << GROUP_SHIFT | content << 1 | side for group, content in rows])


@settings(deadline=None, max_examples=200)
@given(GROUPED, st.sampled_from([0.0, 0.05, 0.1, 0.5, 0.9]))
def test_shares_are_fair_and_no_label_is_held_out_whole(rows: list[tuple[int, int]], fraction: float) -> None:
    limits = thresholds(sort_keys(keys_of(rows)), fraction)
    held, distinct = defaultdict(set), defaultdict(set)
    for group, content in rows:
        distinct[group].add(content)
        if group << GROUP_SHIFT | content << 1 <= limits.get(group, -1):
            held[group].add(content)
    count = {group: len(contents) for group, contents in distinct.items()}
    for group in distinct:
        assert len(held[group]) < count[group]
        assert abs(len(held[group]) - fraction * count[group]) <= 1
    spare = sum(min(each - 1, int(fraction * each) + 1) for each in count.values())
    wanted = round(fraction * sum(count.values())) or int(fraction > 0)
    assert sum(map(len, held.values())) == min(wanted, spare) or fraction > 0.5


@settings(deadline=None, max_examples=200)
@given(GROUPED, st.data())
def test_repeats_and_leaks_are_counted_as_sets_would(rows: list[tuple[int, int]], data: st.DataObject) -> None:
    sides = data.draw(st.lists(st.integers(0, 1), min_size=len(rows), max_size=len(rows)))
    keys = array("Q", [keys_of([row], side)[0] for row, side in zip(rows, sides, strict=True)])
    found = repeats(sort_keys(keys))
    on = defaultdict(set)
    for row, side in zip(rows, sides, strict=True):
        on[row].add(side)
    assert found.rows == len(rows) - len(on)
    assert found.leaked == sum(len(each) == 2 for each in on.values())


def report_on(folder: Path, rows: list[Any], **asked: Any) -> tuple[Report, list[dict[str, Any]]]:
    (folder / "upload").write_text("\n".join(json.dumps(row) for row in rows))
    report = read(folder / "upload", "a.jsonl", folder / "rows.jsonl", **asked)
    stored = folder / "rows.jsonl"
    return report, [json.loads(line) for line in stored.read_bytes().splitlines()] if stored.exists() else []


def errors(report: Report) -> list[str]:
    return [each["code"] for each in report.problems if each["severity"] == "error"]


def test_many_small_labels_still_give_a_tenth(tmp_path: Path) -> None:
    rows = [{"text": f"t{n}", "label": f"l{n % 100}"} for n in range(400)]
    report, stored = report_on(tmp_path, rows)
    assert (report.rows["train"], report.rows["eval"]) == (360, 40)
    assert {row["label"] for row in stored if row["split"] == "train"} == set(report.labels)


def test_of_two_rows_one_is_held_out(tmp_path: Path) -> None:
    report, _ = report_on(tmp_path, [{"text": "a"}, {"text": "b"}])
    assert (report.rows["train"], report.rows["eval"]) == (1, 1)


def test_a_single_row_is_trained_on(tmp_path: Path) -> None:
    report, _ = report_on(tmp_path, [{"text": "a"}, {"text": "a"}])
    assert (report.state, report.rows["train"], report.rows["eval"]) == ("ready", 2, 0)


def test_split_comes_first_and_text_is_kept_as_it_is(tmp_path: Path) -> None:
    report_on(
        tmp_path, [{"label": "x", "text": " é\u2028\t"}, {"label": "y", "text": "b"}, {"label": "x", "text": "c"}]
    )
    first = (tmp_path / "rows.jsonl").read_bytes().split(b"\n")[0].decode()
    assert first in [f'{{"split":"{side}","text":" é\u2028\\t","label":"x"}}' for side in ("train", "eval")]


def test_the_same_row_on_both_sides_is_an_error(tmp_path: Path) -> None:
    sides = ["train", "train", "test", "test"]
    rows = [
        {"text": text, "label": label, "split": side} for text, label, side in zip("abca", "xyxx", sides, strict=True)
    ]
    report, _ = report_on(tmp_path, rows)
    assert errors(report) == ["dataset.leaked_row"]
    by_fraction, _ = report_on(tmp_path, rows, split={"kind": "fraction", "fraction": 0.2})
    assert by_fraction.state == "ready"


def test_a_split_column_with_another_word_names_the_row(tmp_path: Path) -> None:
    rows = [{"text": f"t{n}", "split": "train" if n != 3 else None} for n in range(6)]
    report, _ = report_on(tmp_path, rows)
    assert errors(report) == ["dataset.split_value"]
    assert report.problems[0]["where"]["line"] == 4
    assert report.reasons[-1] == "Split as the column `split` says."


def test_a_split_column_without_training_rows_is_refused(tmp_path: Path) -> None:
    report, stored = report_on(tmp_path, [{"text": f"t{n}", "split": "test"} for n in range(6)])
    assert (errors(report), stored) == (["dataset.no_train_rows"], [])


def test_another_kind_of_split_is_refused(tmp_path: Path) -> None:
    report, _ = report_on(tmp_path, [{"text": "a"}], split={"kind": "moon"})
    assert errors(report) == ["dataset.split"]
