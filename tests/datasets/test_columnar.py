"""Parquet and Arrow: the same rows as JSONL; damaged, forged and hostile files end in an answer."""

from __future__ import annotations

import decimal
import io
import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

from tests.datasets.test_corpus import SPEAKS_PYTHON, read_here
from webapp.datasets.checking import check
from webapp.datasets.limits import Limits
from webapp.datasets.reading import Report

ROWS = [{"text": f"t{n} é", "label": "ab"[n % 2]} for n in range(40)]


def parquet(table: Any, **how: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table if isinstance(table, pa.Table) else pa.Table.from_pylist(table), buffer, **how)
    return buffer.getvalue()


def arrow(rows: list[dict[str, Any]], new: Any) -> bytes:
    buffer, table = io.BytesIO(), pa.Table.from_pylist(rows)
    with new(buffer, table.schema) as writer:
        writer.write_table(table)
    return buffer.getvalue()


def report_on(folder: Path, name: str, content: bytes, limits: Limits | None = None, **asked: Any) -> Report:
    """Of a harmless file: what could hurt a process is for hostile_report_on."""
    return told(read_here(folder, name, content, limits=limits, **asked))


def hostile_report_on(folder: Path, name: str, content: bytes, limits: Limits | None = None) -> Report:
    (folder / "upload").write_bytes(content)
    return told(check(folder / "upload", name, folder / "rows.jsonl", limits=limits))


def told(report: Report) -> Report:
    for problem in report.problems:
        assert not SPEAKS_PYTHON.search(problem["message"] + problem["hint"]), problem
    return report


def errors(report: Report) -> list[str]:
    return [each["code"].removeprefix("dataset.") for each in report.problems if each["severity"] == "error"]


def test_the_same_rows_have_the_same_hash_in_every_format(tmp_path: Path) -> None:
    contents = {
        "a.jsonl": "\n".join(map(json.dumps, ROWS)).encode(),
        "a.json": json.dumps(ROWS).encode(),
        "a.parquet": parquet(ROWS),
        "b.parquet": parquet(ROWS, compression="zstd", row_group_size=7),
        "a.arrow": arrow(ROWS, pa.ipc.new_file),
        "b.arrow": arrow(ROWS, pa.ipc.new_stream),
        "a.feather": arrow(ROWS, pa.ipc.new_file),
    }
    reports = {name: report_on(tmp_path, name, content) for name, content in contents.items()}
    assert {report.state for report in reports.values()} == {"ready"}
    assert len({report.sha256 for report in reports.values()}) == 1
    assert reports["a.parquet"].format == "Parquet"
    assert reports["b.arrow"].format == "Arrow"


def test_chats_in_structs_are_read(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
    report = hostile_report_on(tmp_path, "a.parquet", parquet([{"messages": turns}, {"messages": turns[::-1] + turns}]))
    assert (report.state, report.task, report.preview[0]["messages"]) == ("ready", "causal-lm", turns)


def test_dates_and_decimals_are_read_as_text(tmp_path: Path) -> None:
    """Case 66."""
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    rows = [{"text": moment, "label": decimal.Decimal("1.50")}, {"text": moment, "label": decimal.Decimal("2.00")}]
    report = report_on(tmp_path, "a.parquet", parquet(rows))
    assert (report.state, list(report.labels)) == ("ready", ["1.50", "2.00"])
    assert any(each["code"] == "dataset.column_as_text" for each in report.problems)


def test_binary_columns_are_an_error_only_where_they_are_needed(tmp_path: Path) -> None:
    needed = report_on(tmp_path, "a.parquet", parquet([{"text": b"\x00", "label": "x"}]))
    assert "column_type" in errors(needed)
    assert any("holds binary data" in each["message"] for each in needed.problems)
    beside = report_on(tmp_path, "a.parquet", parquet([row | {"image": b"\x89PNG"} for row in ROWS]))
    assert (beside.state, errors(beside)) == ("ready", [])
    asked = report_on(
        tmp_path, "a.parquet", parquet([row | {"image": b"\x89"} for row in ROWS]), mapping={"text": "image"}
    )
    assert errors(asked) == ["column_type"]


def test_a_name_that_stands_twice_can_be_renamed(tmp_path: Path) -> None:
    """Case 67."""
    table = pa.Table.from_arrays(
        [pa.array(["a", "b"]), pa.array(["x", "y"]), pa.array(["c", "d"])], ["text", "label", "text"]
    )
    report = report_on(tmp_path, "a.parquet", parquet(table))
    assert (report.state, errors(report)) == ("needs_choice", ["duplicate_column"])
    mended = report_on(tmp_path, "a.parquet", parquet(table), choices={"fixes": {"duplicate_column": "rename_columns"}})
    assert mended.state == "ready"
    assert "text_2" in mended.file_columns


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (parquet(ROWS)[:-20], "parquet_damaged"),
        (parquet(ROWS)[:4], "parquet_damaged"),
        (b"PAR1" + bytes(200) + b"\xff\xff\xff\x7fPAR1", "parquet_damaged"),
        (parquet(ROWS)[:4] + parquet(ROWS)[600:], "parquet_damaged"),
        (b"PARE" + bytes(100) + b"PARE", "encrypted_file"),
        (parquet(pa.table({"text": pa.array([], pa.string()), "label": pa.array([], pa.string())})), "no_rows"),
        (parquet(ROWS, row_group_size=1), "too_many_row_groups"),
        (parquet([{f"c{n}": 1 for n in range(1001)}]), "too_many_columns"),
        (arrow(ROWS, pa.ipc.new_file)[:200], "arrow_damaged"),
        (arrow(ROWS, pa.ipc.new_file)[:-30], "arrow_damaged"),
    ],
)
def test_what_cannot_be_read_says_why(tmp_path: Path, content: bytes, code: str) -> None:
    """Cases 60, 62, 63, 69, 70."""
    report = hostile_report_on(tmp_path, "a.parquet", content, Limits(row_groups=20))
    assert (report.state, errors(report)) == ("refused", [code])


def test_text_that_is_not_utf_8_names_its_row(tmp_path: Path) -> None:
    raw = pa.array([b"a", b"caf\xe9", b"c", b"d"]).cast(pa.binary())
    text = pa.Array.from_buffers(pa.string(), len(raw), raw.buffers())
    table = pa.table({"text": text, "label": ["x", "y", "x", "y"]})
    report = report_on(tmp_path, "a.parquet", parquet(table))
    assert (report.state, errors(report)) == ("needs_choice", ["not_utf8"])
    assert (report.problems[0]["where"]["row"], report.problems[0]["where"]["line"]) == (2, None)
    skipped = report_on(tmp_path, "a.parquet", parquet(table), choices={"fixes": {"not_utf8": "skip_rows"}})
    assert (skipped.state, skipped.rows["good"]) == ("ready", 3)


def test_rows_without_lines_are_named_by_row(tmp_path: Path) -> None:
    rows = [*ROWS, {"text": None, "label": "a"}, {"text": "nul\0", "label": "b"}]
    report = report_on(tmp_path, "a.parquet", parquet(rows))
    assert sorted(each["message"] for each in report.problems if each["severity"] == "error") == [
        "Row 41: `text` is null, where text is wanted.",
        "Row 42: `text` holds a NUL character.",
    ]


NESTED = {
    "image": {"bytes": b"\x89PNG\xff", "path": "a.png"},
    "seen": [datetime(2026, 11, 26, 9, tzinfo=UTC)],
    "born": {"on": date(1999, 12, 31)},
}


def test_nested_bytes_and_times_are_shown_and_do_not_end_the_look(tmp_path: Path) -> None:
    rows = [row | NESTED for row in ROWS]
    for name, content in (("a.parquet", parquet(rows)), ("a.arrow", arrow(rows, pa.ipc.new_file))):
        report = report_on(tmp_path, name, content, choices={"step": "columns"})
        assert (report.state, errors(report)) == ("needs_choice", [])
        assert report.found["rows"][0] == [
            "t0 é",
            "a",
            '{"bytes": "5 bytes", "path": "a.png"}',
            '["2026-11-26 09:00:00+00:00"]',
            '{"on": "1999-12-31"}',
        ]


def test_a_row_is_held_out_by_no_nested_time(tmp_path: Path) -> None:
    split = {"kind": "column", "column": "seen"}
    report = report_on(tmp_path, "a.parquet", parquet([row | NESTED for row in ROWS]), split=split)
    assert errors(report)[0] == "split_value"
    assert "2026-11-26" in report.problems[0]["message"]


@pytest.mark.slow
def test_a_dictionary_that_decodes_to_gigabytes_stops_at_the_budget(tmp_path: Path) -> None:
    """Case 64."""
    large = pa.DictionaryArray.from_arrays(pa.array([0] * 100_000), pa.array(["x" * 100_000]))
    content = parquet(pa.table({"text": large, "label": pa.array(["a", "b"] * 50_000)}), compression="zstd")
    assert len(content) < 1_100_000
    report = hostile_report_on(tmp_path, "a.parquet", content)
    assert (report.state, errors(report)) == ("refused", ["expands_too_far"])
    assert f"{len(content):,} bytes" in report.problems[0]["message"]


def test_values_too_large_for_the_memory_are_an_answer(tmp_path: Path) -> None:
    large = pa.DictionaryArray.from_arrays(pa.array([0] * 200), pa.array(["x" * 8_000_000]))
    content = parquet(pa.table({"text": large}), compression="zstd")
    report = hostile_report_on(tmp_path, "a.parquet", content, Limits(memory_bytes=700 * 1024**2))
    assert report.state == "refused"
    assert set(errors(report)) <= {"expands_too_far", "parser_died"}
