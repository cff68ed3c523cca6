"""Where a problem is: physical lines through every kind of line end, quotes over lines, arrays, and long lists."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from webapp.datasets.checking import check
from webapp.datasets.limits import Limits
from webapp.datasets.problems import Problems
from webapp.datasets.reading import Report, read


def read_bytes(folder: Path, name: str, content: bytes, **asked: Any) -> Report:
    (folder / "upload").write_bytes(content)
    report = read(folder / "upload", name, folder / "rows.jsonl", **asked)
    assert (folder / "upload").read_bytes() == content  # only read, never written
    assert {path.name for path in folder.iterdir()} <= {
        "upload",
        "rows.jsonl",
        "rows.jsonl.problems",
        "rows.jsonl.remarks",
    }
    return report


def only_error(report: Report) -> tuple[str, int | None]:
    errors = [each for each in report.problems if each["severity"] == "error"]
    assert len(errors) == 1, report.problems
    return errors[0]["code"].removeprefix("dataset."), errors[0]["where"]["line"]


ROWS = [b'{"text":"a","label":"x"}', b'{"text":"b","label":"y"}', b'{"text":"c","label":"x"}']


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("closed", [True, False])
def test_every_line_end_gives_the_same_rows(tmp_path: Path, end: bytes, closed: bool) -> None:
    usual = read_bytes(tmp_path, "a.jsonl", b"\n".join(ROWS))
    report = read_bytes(tmp_path, "a.jsonl", end.join(ROWS) + end * closed)
    assert report.sha256 == usual.sha256 != ""
    assert ("dataset.old_mac_lines" in {each["code"] for each in report.problems}) == (end == b"\r")


def test_mixed_line_ends_are_lines_all_the_same(tmp_path: Path) -> None:
    report = read_bytes(tmp_path, "a.csv", b"text,label\ra,x\r\nb,y\nc\n")
    assert only_error(report) == ("ragged_row", 4)


def test_a_line_end_on_the_border_of_two_chunks_is_one(tmp_path: Path) -> None:
    filler = b'{"text":"' + b"a" * (256 * 1024 + 3 - 24) + b'","label":"x"}\r\n'
    assert len(filler) == 256 * 1024 + 4  # carriage return and line feed lie on either side of the first chunk's end
    report = read_bytes(tmp_path, "a.jsonl", filler + b'{"text":"b","label":"y"}\n5\n')
    assert only_error(report) == ("not_an_object", 3)


@pytest.mark.parametrize(
    ("content", "code", "line"),
    [
        (b'text,label\n"a\nb","c\nd,x\ne,y\n', "unclosed_quote", 3),
        (b'text,label\n"a,x\n"b",y\n', "unclosed_quote", 2),
        (b'text,label\n"say ""hi"" twice\n",x\n"open,y\nc,x\n', "unclosed_quote", 4),
        (b'text,label\n"a" b,x\nb,y\n', "stray_quote", 2),
        (b'\xef\xbb\xbf"text,label\na,x\n', "unclosed_quote", 1),
    ],
)
def test_the_quote_is_found_where_it_was_opened(tmp_path: Path, content: bytes, code: str, line: int) -> None:
    assert only_error(read_bytes(tmp_path, "a.csv", content)) == (code, line)


def test_blank_lines_and_quoted_line_breaks_keep_physical_lines(tmp_path: Path) -> None:
    report = read_bytes(tmp_path, "a.csv", b'\n\ntext,label\n"a\n\nb",x\n\nb,y\n   \nc\n')
    assert only_error(report) == ("ragged_row", 10)
    assert report.problems[0]["where"]["row"] == 3


def test_each_bad_line_of_a_csv_is_counted(tmp_path: Path) -> None:
    lines = [b"caf\xe9 %d,x" % n if n % 2 else b"tea %d,y" % n for n in range(100)]
    report = read_bytes(tmp_path, "a.csv", b"text,label\n" + b"\n".join(lines))
    assert [each["where"]["line"] for each in report.problems] == [2 * n + 3 for n in range(20)]
    assert {each["count"] for each in report.problems} == {50}
    assert report.rows == {"read": 100, "good": 50, "bad": 50, "train": 0, "eval": 0}


@pytest.mark.parametrize(
    ("content", "code", "line"),
    [
        ('[{"text":"a","label":"x"},\n{"text":"b","label":"y"},\n5]', "not_an_object", 3),
        ('[{"text":"a","label":"x"},\n\n{"text":"b","la', "truncated", 3),
        ('[{"text":"a","label":"x"},\n{"text":"b","label":"y"},\n]', "json_syntax", 2),
        ('[{"text":"a","label":"x"}\n{"text":"b","label":"y"}]', "json_syntax", 2),
        ('[\n{"text":"a","label":"x",}]', "json_syntax", 2),
        ('[\n{"text":"a","label":NaN}]', "not_a_number", 2),
        ('[{"text":"a","label":"x"}] trailing', "json_syntax", None),
        ('[{"text":"a","label":"x"}', "truncated", 1),
        ("[]", "no_rows", None),
        ('[\n{"text":' + "[" * 100_000 + "]" * 100_000 + "}]", "too_deep", 2),
    ],
)
def test_an_array_has_lines_too(tmp_path: Path, content: str, code: str, line: int | None) -> None:
    assert only_error(read_bytes(tmp_path, "a.json", content.encode())) == (code, line)


def test_an_array_that_is_too_large_is_asked_for_as_lines(tmp_path: Path) -> None:
    content = json.dumps([{"text": "a" * 100, "label": "x"}] * 100).encode()
    report = read_bytes(tmp_path, "a.json", content, limits=Limits(array_bytes=1024))
    assert only_error(report) == ("array_too_large", None)


def test_an_error_is_listed_however_many_warnings_come_first() -> None:
    problems = Problems("a.csv")
    for line in range(1, 100):
        problems.warn("empty_text", "Empty.", "Fill it in.", line=line, row=line)
    for line in range(100, 200):
        problems.error("ragged_row", "Ragged.", "Mend it.", line=line, row=line)
    problems.error("one_class", "One label.", "Add another.")
    listed = problems.as_json()
    assert len(listed) == 20
    assert {each["code"]: each["count"] for each in listed} == {
        "dataset.ragged_row": 100,
        "dataset.one_class": 1,
        "dataset.empty_text": 99,
    }
    assert (problems.fatal, problems.total, problems.bad) == (True, 200, 100)


def test_what_the_file_says_is_shown_harmlessly(tmp_path: Path) -> None:
    name = "../\u202e\x00\n" + "n" * 5000 + ".jsonl"
    content = json.dumps({"text": "a", "la\u202ebel\n" + "k" * 9000: "x"}).encode() + b"\n[1]\n"
    report = read_bytes(tmp_path, name, content, task="text-classification")
    for problem in report.problems:
        where = problem["where"]
        shown = problem["message"] + problem["hint"] + where["file"] + (where["field"] or "") + (where["excerpt"] or "")
        assert shown.isprintable()
        assert len(problem["message"]) <= 500
        assert len(where["file"]) <= 255
        assert len(where["excerpt"] or "") <= 80


def test_a_long_text_is_clipped_in_the_preview_only(tmp_path: Path) -> None:
    rows = [{"text": f"{n}" * 5000, "label": str(n % 2)} for n in range(4)]
    report = read_bytes(tmp_path, "a.jsonl", "\n".join(map(json.dumps, rows)).encode())
    assert [len(row["text"]) for row in report.preview] == [2000] * 4
    assert len(json.loads((tmp_path / "rows.jsonl").read_text().splitlines()[0])["text"]) == 5000


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"  \n\t\n \n", "empty_file"),
        ("text,label\na,x\n".encode("utf-16")[:-1], "not_utf8"),
        ("text,label\na,x\nb,y\n".encode("utf-32"), "not_utf8"),
        (b"\x00\x01\x02\x03binary" * 20, "wrong_type"),
        (b"PK\x05\x06" + b"\0" * 18, "empty_file"),
        (b" <!-- hello --> <HTML>", "wrong_type"),
        (b"b" * 257 + b"ustar\x00" + b"\0" * 200, "archive_type"),
    ],
)
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a"])
def test_no_text_no_rows(tmp_path: Path, name: str, content: bytes, code: str) -> None:
    assert only_error(read_bytes(tmp_path, name, content))[0] == code


def test_many_blank_lines_before_the_header_are_passed_over(tmp_path: Path) -> None:
    report = read_bytes(tmp_path, "a.csv", b"\n" * 100 + b"text;label\na;x\nb;y\nc;x\n")
    assert (report.state, report.format) == ("ready", "CSV, delimiter semicolon")


@pytest.mark.slow
def test_4_a_bad_byte_in_line_1_000_000_is_found_there_in_little_memory(tmp_path: Path) -> None:
    row = b'{"text":"a%d","label":%d}\n'
    rows = b"".join(row % (n, n % 2) for n in range(99_999)) + b"\n" * 900_000
    (tmp_path / "upload").write_bytes(rows + b"caf\xe9,1\n" + row % (1, 1))
    limits = Limits(memory_bytes=300 * 1024**2)
    report = check(tmp_path / "upload", "a.jsonl", tmp_path / "rows.jsonl", limits=limits)
    assert only_error(report) == ("not_utf8", 1_000_000)
