"""From bytes to canonical rows: nothing lost, a stable and fair split, a mapping with its reason, hard limits."""

from __future__ import annotations

import csv
import io
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from webapp.datasets.checking import check
from webapp.datasets.limits import Limits
from webapp.datasets.reading import Report, read

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(lambda text: text.strip())
ROWS = st.lists(st.tuples(TEXT, st.sampled_from(["pos", "neg"])), min_size=2, max_size=30, unique_by=lambda row: row[0])


def reviews(n: int) -> list[dict[str, str]]:
    return [{"text": f"review number {i}", "label": "pos" if i % 3 else "neg"} for i in range(n)]


def as_jsonl(rows: list[Any]) -> bytes:
    return "\n".join(json.dumps(row) for row in rows).encode()


def read_bytes(folder: Path, name: str, content: bytes, **asked: Any) -> tuple[Report, list[dict[str, Any]]]:
    (folder / "upload").write_bytes(content)
    report = read(folder / "upload", name, folder / "rows.jsonl", **asked)
    stored = folder / "rows.jsonl"
    rows = [json.loads(line) for line in stored.read_bytes().splitlines()] if report.state == "ready" else []
    return report, rows


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(ROWS)
def test_whatever_is_written_as_jsonl_or_csv_comes_back(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    buffer = io.StringIO()
    csv.writer(buffer).writerows([("text", "label"), *rows])
    for name, content in (
        ("a.jsonl", as_jsonl([{"text": text, "label": label} for text, label in rows])),
        ("a.csv", buffer.getvalue().encode()),
    ):
        report, stored = read_bytes(tmp_path, name, content)
        if len({label for _, label in rows}) == 1:
            assert [each["code"] for each in report.problems if each["severity"] == "error"] == ["dataset.one_class"]
        else:
            assert [(row["text"], row["label"]) for row in stored] == rows


def sides(rows: list[dict[str, Any]]) -> dict[str, str]:
    return {row["text"]: row["split"] for row in rows}


def test_the_order_of_rows_changes_no_side(tmp_path: Path) -> None:
    rows = reviews(200)
    shuffled = random.Random(1).sample(rows, len(rows))
    first, second = (read_bytes(tmp_path, "a.jsonl", as_jsonl(each))[1] for each in (rows, shuffled))
    assert sides(first) == sides(second)


def test_a_tenth_of_each_label_is_held_out_by_default(tmp_path: Path) -> None:
    report, rows = read_bytes(tmp_path, "a.jsonl", as_jsonl(reviews(300)))
    assert (report.rows["train"], report.rows["eval"]) == (270, 30)
    held = [row["label"] for row in rows if row["split"] == "eval"]
    assert (held.count("pos"), held.count("neg")) == (20, 10)


def test_equal_rows_stay_on_one_side(tmp_path: Path) -> None:
    _, rows = read_bytes(tmp_path, "a.jsonl", as_jsonl(reviews(40) * 3))
    by_text: dict[str, set[str]] = {}
    for row in rows:
        by_text.setdefault(row["text"], set()).add(row["split"])
    assert all(len(found) == 1 for found in by_text.values())


def test_another_seed_holds_out_other_rows(tmp_path: Path) -> None:
    split = {"kind": "fraction", "fraction": 0.2, "seed": 5}
    report, other = read_bytes(tmp_path, "a.jsonl", as_jsonl(reviews(100)), split=split)
    _, usual = read_bytes(tmp_path, "a.jsonl", as_jsonl(reviews(100)))
    assert report.split == split
    assert sides(other) != sides(usual)


def test_no_rows_are_held_out_if_asked_so(tmp_path: Path) -> None:
    report, _ = read_bytes(tmp_path, "a.jsonl", as_jsonl(reviews(20)), split={"kind": "fraction", "fraction": 0})
    assert report.rows["eval"] == 0


def test_a_split_column_is_honoured(tmp_path: Path) -> None:
    rows = [row | {"split": "test" if n % 4 == 0 else "train"} for n, row in enumerate(reviews(20))]
    report, stored = read_bytes(tmp_path, "a.jsonl", as_jsonl(rows))
    assert report.split == {"kind": "column", "column": "split"}
    assert [row["split"] for row in stored] == ["train" if n % 4 else "eval" for n in range(20)]


@pytest.mark.parametrize(
    "split", [{"fraction": 2}, {"fraction": "half"}, {"seed": "x"}, {"kind": "column", "column": "zzz"}]
)
def test_a_split_that_cannot_be_is_refused(tmp_path: Path, split: dict[str, Any]) -> None:
    report, _ = read_bytes(tmp_path, "a.jsonl", as_jsonl(reviews(20)), split=split)
    assert report.state == "refused"


def test_the_same_rows_have_the_same_hash_however_they_came(tmp_path: Path) -> None:
    lines = "text,label\n" + "".join(f"{row['text']},{row['label']}\n" for row in reviews(50))
    assert (
        read_bytes(tmp_path, "a.jsonl", as_jsonl(reviews(50)))[0].sha256
        == read_bytes(tmp_path, "b.csv", lines.encode())[0].sha256
        != ""
    )


@pytest.mark.parametrize(
    ("row", "task", "columns"),
    [
        ({"review": "a", "sentiment": "x"}, "text-classification", {"text": "review", "label": "sentiment"}),
        ({"question": "a", "answer": "b"}, "causal-lm", {"prompt": "question", "completion": "answer"}),
        ({"text": "a"}, "causal-lm", {"text": "text"}),
        ({"source": "a", "target": "b"}, "seq2seq", {"source": "source", "target": "target"}),
        ({"article": "a", "summary": "b"}, "seq2seq", {"source": "article", "target": "summary"}),
        (
            {"source": "web", "prompt": "a", "completion": "b"},
            "causal-lm",
            {"prompt": "prompt", "completion": "completion"},
        ),
    ],
)
def test_task_and_columns_are_guessed_with_a_reason(
    tmp_path: Path, row: dict[str, str], task: str, columns: dict[str, str]
) -> None:
    rows = [
        {name: f"{value}{n}" if name != "sentiment" else str(n % 2) for name, value in row.items()} for n in range(9)
    ]
    report, _ = read_bytes(tmp_path, "a.jsonl", as_jsonl(rows))
    assert (report.task, report.mapping) == (task, columns)
    assert report.reasons


def test_what_is_asked_for_beats_the_guess(tmp_path: Path) -> None:
    rows = [{"text": "a", "title": f"t{n}", "label": str(n % 2)} for n in range(10)]
    report, stored = read_bytes(tmp_path, "a.jsonl", as_jsonl(rows), mapping={"text": "title"})
    assert report.mapping == {"text": "title", "label": "label"}
    assert stored[0]["text"] == "t0"


def test_a_column_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    report, _ = read_bytes(tmp_path, "a.jsonl", as_jsonl(reviews(5)), mapping={"text": "body"})
    assert report.problems[0]["message"] == "There is no column `body`; the file has `text`, `label`."


def test_labels_are_listed_in_natural_order(tmp_path: Path) -> None:
    rows = [{"text": f"t{n}", "label": n % 12} for n in range(120)]
    report, _ = read_bytes(tmp_path, "a.jsonl", as_jsonl(rows))
    assert list(report.labels) == [str(n) for n in range(12)]


def test_a_child_that_runs_out_of_memory_is_an_answer(tmp_path: Path) -> None:
    rows = as_jsonl([{"text": "x" * 12_000_000, "label": str(n)} for n in range(2)])
    (tmp_path / "upload").write_bytes(rows)
    report = check(tmp_path / "upload", "a.jsonl", tmp_path / "rows.jsonl", limits=Limits(memory_bytes=48 * 1024**2))
    assert report.problems[0]["code"] == "dataset.parser_died"
    assert [path.name for path in tmp_path.iterdir()] == ["upload"]


def test_a_check_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    (tmp_path / "upload").write_bytes(as_jsonl(reviews(50_000)))
    report = check(tmp_path / "upload", "a.jsonl", tmp_path / "rows.jsonl", limits=Limits(wall_seconds=0))
    assert report.problems[0]["code"] == "dataset.check_too_long"


@pytest.mark.slow
def test_twenty_megabytes_are_checked_in_seconds_within_the_memory_limit(tmp_path: Path) -> None:
    rows = as_jsonl([{"text": "word " * 20 + str(n), "label": str(n % 2)} for n in range(160_000)])
    assert len(rows) > 20_000_000
    (tmp_path / "upload").write_bytes(rows)
    limits = Limits(memory_bytes=300 * 1024**2, wall_seconds=30)
    assert check(tmp_path / "upload", "a.jsonl", tmp_path / "rows.jsonl", limits=limits).state == "ready"
