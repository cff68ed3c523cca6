"""What rows must hold: labels of one kind, turns with roles, parts that are asked for; and what is only remarked on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from webapp.datasets.limits import Limits
from webapp.datasets.reading import Report, read


def report_on(folder: Path, rows: list[Any], **asked: Any) -> Report:
    (folder / "upload").write_text("\n".join(json.dumps(row) for row in rows))
    return read(folder / "upload", "a.jsonl", folder / "rows.jsonl", **asked)


def codes(report: Report, severity: str) -> dict[str, int]:
    return {
        each["code"].removeprefix("dataset."): each["count"] for each in report.problems if each["severity"] == severity
    }


def labelled(*labels: Any) -> list[dict[str, Any]]:
    return [{"text": f"text {n}", "label": label} for n, label in enumerate(labels)]


@pytest.mark.parametrize("labels", [(1, "1", "b", 1), ("b", 1, 1, "1"), ("1", 1, "b", "b")])
def test_a_label_written_two_ways_is_one_problem_in_any_order(tmp_path: Path, labels: tuple[Any, ...]) -> None:
    report = report_on(tmp_path, labelled(*labels))
    assert codes(report, "error") == {"mixed_label_types": 1}
    assert "as a number (first in row" in report.problems[0]["message"]
    assert "as text (first in row" in report.problems[0]["message"]


def test_labels_become_text(tmp_path: Path) -> None:
    report = report_on(tmp_path, labelled(True, False, True, 2, 10, 2.5, "word"))
    assert list(report.labels) == ["2", "10", "2.5", "false", "true", "word"]
    assert [row["label"] for row in report.preview] == ["true", "false", "true", "2", "10", "2.5", "word"]


@pytest.mark.parametrize(
    ("label", "code"),
    [(None, "missing_field"), (" ", "missing_field"), (["a"], "type_changed"), ("x" * 300, "label_too_long")],
)
def test_a_label_that_is_none(tmp_path: Path, label: Any, code: str) -> None:
    report = report_on(tmp_path, labelled(*"ab" * 50, label))
    assert codes(report, "error") == {code: 1}
    assert report.problems[0]["where"]["line"] == 101


def test_one_class_is_said_beside_a_few_bad_rows_but_not_beside_many(tmp_path: Path) -> None:
    few = report_on(tmp_path, [*labelled(*"a" * 100), {"text": "b"}])
    assert codes(few, "error") == {"one_class": 1, "missing_field": 1}
    many = report_on(tmp_path, [*labelled(*"a" * 3), {"text": "b"}])
    assert codes(many, "error") == {"missing_field": 1}


def test_hopelessly_many_labels_end_the_reading(tmp_path: Path) -> None:
    report = report_on(tmp_path, labelled(*range(500)), limits=Limits(labels=2))
    assert codes(report, "error") == {"too_many_classes": 1}
    assert report.problems[0]["message"].startswith("over 201 labels in 201 rows")


def test_empty_texts_are_a_warning_unless_all_are(tmp_path: Path) -> None:
    rows = [{"prompt": "" if n < 3 else "hi", "completion": f"a{n}"} for n in range(6)]
    some = report_on(tmp_path, rows)
    assert (some.state, codes(some, "warning")) == ("ready", {"empty_text": 3})
    every = report_on(tmp_path, [row | {"prompt": " "} for row in rows])
    assert (every.state, codes(every, "error")) == ("refused", {"empty_text": 6})
    assert every.problems[0]["message"] == "In all 6 rows `prompt` is empty."


@pytest.mark.parametrize("rows", [["a", ["b"], "c"], [["b"], "a", "c"], ["a", "c", ["b"]]])
def test_a_type_that_changes_is_the_same_answer_in_any_order(tmp_path: Path, rows: list[Any]) -> None:
    report = report_on(tmp_path, [{"prompt": "q", "output": each} for each in rows])
    assert codes(report, "error") == {"type_changed": 1}
    line = rows.index(["b"]) + 1
    assert report.problems[0]["message"] == f"Line {line}: `output` is a list, where text is wanted."


def test_a_second_text_may_be_missing(tmp_path: Path) -> None:
    rows = labelled(*"abab")
    rows[0]["text_pair"] = "beside"
    report = report_on(tmp_path, rows)
    assert (report.state, report.columns) == ("ready", ["text", "label", "text_pair"])
    assert codes(report, "notice") == {"missing_optional": 1}
    assert "text_pair" not in report.preview[1]


def test_columns_that_come_late_are_told_too(tmp_path: Path) -> None:
    rows = [*labelled(*"ab" * 100), {"text": "t", "label": "a", "late": 1}]
    report = report_on(tmp_path, rows)
    assert report.problems[-1]["message"] == "Not used: `late` (1 row)."


TALK = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
CALL = {"type": "function", "function": {"name": "weather", "arguments": {"town": "Bonn", "days": 3}}}


@pytest.mark.parametrize(
    ("turn", "severity", "code"),
    [
        ({"role": "user", "content": "a", "name": "bob"}, "warning", "unused_message_keys"),
        ({"role": "assistant", "content": ""}, "warning", "empty_text"),
        ({"role": "assistant", "content": "", "tool_calls": [{}]}, "error", "tool_calls_unsupported"),
        ({"role": "assistant", "content": None}, "error", "type_changed"),
        ({"role": ["user"], "content": "a"}, "error", "unknown_role"),
        ({"role": "system", "content": "a"}, "warning", "system_not_first"),
        ({"role": "assistant", "content": None, "tool_calls": [CALL]}, "warning", "tool_calls_unsupported"),
        ({"role": "user", "content": "a", "tool_calls": [CALL]}, "error", "tool_calls_unsupported"),
        ("hello", "error", "message_shape"),
    ],
)
def test_turns(tmp_path: Path, turn: Any, severity: str, code: str) -> None:
    report = report_on(tmp_path, [{"messages": TALK}, {"messages": [*TALK, turn]}])
    found = {each["code"]: each for each in report.problems}[f"dataset.{code}"]
    assert (found["severity"], found["where"]["line"], found["count"]) == (severity, 2, 1)


@pytest.mark.parametrize(
    ("turns", "code"),
    [
        (TALK[:1] + TALK, "turns_not_alternating"),
        ([*TALK, {"role": "system", "content": "s"}], "system_not_first"),
        ([TALK[0], {"role": "assistant", "content": "", "tool_calls": [CALL]}], "tool_calls_unsupported"),
    ],
)
def test_what_some_templates_refuse_is_kept_unless_somebody_leaves_it_out(
    tmp_path: Path, turns: list[Any], code: str
) -> None:
    rows = [{"messages": TALK}, {"messages": turns}]
    kept = report_on(tmp_path, rows)
    assert (kept.state, kept.rows["good"], kept.preview[1]["messages"]) == ("ready", 2, turns)
    assert kept.problems[0]["fixes"] == ["skip_rows"]
    left = report_on(tmp_path, rows, choices={"fixes": {code: "skip_rows"}})
    assert (left.state, left.rows["good"], left.rows["bad"]) == ("ready", 1, 1)
    assert codes(left, "notice") == {code: 1}


def test_messages_as_text_are_not_messages(tmp_path: Path) -> None:
    report = report_on(tmp_path, [{"messages": json.dumps(TALK)}])
    assert codes(report, "error") == {"type_changed": 1}


def test_what_is_asked_for_decides_the_task(tmp_path: Path) -> None:
    rows = [row | {"q": f"why {n}", "a": "so"} for n, row in enumerate(labelled(*"abab"))]
    report = report_on(tmp_path, rows, mapping={"prompt": "q", "completion": "a"})
    assert (report.task, report.mapping) == ("causal-lm", {"prompt": "q", "completion": "a"})


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"task": "poetry"}, "task"),
        ({"mapping": {"rhyme": "text"}}, "mapping"),
        ({"mapping": {"text": "text", "label": "text"}}, "mapping"),
        ({"mapping": {"text": ["text"]}}, "missing_column"),
        ({"task": "causal-lm", "mapping": {"label": "label"}}, "missing_column"),
        ({"task": "causal-lm", "mapping": {"prompt": "text"}}, "missing_column"),
    ],
)
def test_wishes_that_do_not_fit_are_explained(tmp_path: Path, asked: dict[str, Any], code: str) -> None:
    report = report_on(tmp_path, labelled(*"abab"), **asked)
    assert codes(report, "error") == {code: 1}
    assert not (tmp_path / "rows.jsonl").exists()
