"""More of the corpus: encodings without a name, odd marks and ends, disguises, and files that hold nothing."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.datasets.test_corpus import CHOICE, GOOD, SPEAKS_PYTHON, TALK, Case, chat, checked, lines, read_here
from webapp.datasets.reading import Report

CALL = {"type": "function", "function": {"name": "weather", "arguments": {"town": "Bonn", "days": 3}}}
TABLE = "text,label\na,x\nb,y\nc,x\n"
CHINESE = "text,label\n" + "".join(f"{word},x\n{word}吗,y\n" for word in ("你好", "谢谢", "再见"))
JAPANESE = "text,label\n" + "".join(f"{word},x\n{word}か,y\n" for word in ("こんにちは", "ありがとう"))
CASES = [
    Case(
        "2 UTF-16 BE with a mark", "a.csv", b"\xfe\xff" + TABLE.encode("utf-16-be"), "converted_utf16", None, "notice"
    ),
    Case("2 UTF-16 BE without", "a.csv", TABLE.encode("utf-16-be"), "not_utf8", 1, words="UTF-16"),
    Case("3 GBK", "a.csv", CHINESE.encode("gb18030"), "not_utf8", 2, count=5, words="choose the encoding"),
    Case("3 Shift-JIS", "a.csv", JAPANESE.encode("shift_jis"), "not_utf8", 2, count=4, words="choose the encoding"),
    Case(
        "5 encodings row by row",
        "a.jsonl",
        lines(*GOOD, '{"text":"é","label":"x"}'.encode(), '{"text":"é","label":"x"}'.encode("latin-1"), b"{}"),
        "not_utf8",
        5,
    ),
    Case("8 encoded surrogate", "a.jsonl", lines(*GOOD, b'{"text":"\xed\xa0\x80","label":"pos"}'), "not_utf8", 4),
    Case("9 CR only", "a.jsonl", lines(*GOOD).replace(b"\n", b"\r"), "old_mac_lines", None, "notice"),
    Case("9 mixed ends, none at the last", "a.csv", b"text,label\r\na,x\nb,y\rc,x"),
    Case("10 NEL and paragraph separator", "a.csv", "text,label\na\u0085b,x\nb\u2029c,y\nc,x\n".encode()),
    Case("10 form feed as an escape", "a.jsonl", lines(*GOOD, b'{"text":"a\\u000b\\fb","label":"pos"}')),
    Case(
        "12 emoji, right to left, marks",
        "a.jsonl",
        lines(*GOOD, {"text": "👩‍👩‍👧 שלום a" + "\u0301" * 1000, "label": "pos"}),
    ),
    Case("20 Infinity", "a.jsonl", lines(*GOOD, b'{"text":"a","label":-Infinity}'), "not_a_number", 4),
    Case("24 text", "a.jsonl", lines(*GOOD, b'"a"'), "not_an_object", 4, words="text"),
    Case("24 a list", "a.jsonl", lines(*GOOD, b"[1]"), "not_an_object", 4, words="an array"),
    Case(
        "25 type changed to null",
        "a.jsonl",
        lines(*GOOD, {"text": None, "label": "x"}),
        "type_changed",
        4,
        words="null",
    ),
    Case(
        "28 all texts empty",
        "a.jsonl",
        lines(*({"text": " ", "label": "ab"[n % 2]} for n in range(4))),
        "empty_text",
        count=4,
    ),
    Case("36 pipe", "a.csv", TABLE.replace(",", "|").encode()),
    Case("37 quotes in quotes", "a.csv", b'text,label\n"say ""a"", then",x\nb,y\nc,x\n'),
    Case("42 numbers in a text column", "a.csv", b'text,label\n"1.234,5",x\n12 %,y\n"1,234.5",x\n'),
    Case(
        "49 tool calls",
        "a.jsonl",
        lines(TALK, {"messages": [{"role": "assistant", "content": "", "tool_calls": [{}]}]}),
        "tool_calls_unsupported",
        2,
    ),
    Case(
        "49 tool calls that some templates render",
        "a.jsonl",
        lines(TALK, {"messages": [TALK["messages"][0], {"role": "assistant", "content": None, "tool_calls": [CALL]}]}),
        "tool_calls_unsupported",
        2,
        "warning",
    ),
    Case("57 case", "a.jsonl", lines(*GOOD, {"text": "b", "label": "Pos"}), "labels_differ_by_space", None, "warning"),
    Case("61 no bytes in Parquet", "a.parquet", b"", "empty_file"),
    Case("76 SQLite", "a.csv", b"SQLite format 3\0" + b"\0" * 84, "wrong_type", words="SQLite"),
    Case("76 JPEG", "a.jsonl", b"\xff\xd8\xff\xe0" + b"\0" * 50, "wrong_type", words="JPEG image, not JSONL"),
    Case("77 only blanks", "a.csv", b"  \n \t\n", "empty_file"),
]
FIXED = {"not_utf8", "json_syntax", "type_changed", "not_a_number", "not_an_object", "tool_calls_unsupported"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_file_gets_its_answer(tmp_path: Path, case: Case) -> None:
    report = read_here(tmp_path, case.upload, case.content)
    _speaks_to_people(report)
    if case.code is None or case.severity != "error":
        assert report.state == "ready", report.problems
    else:
        assert report.state in ((CHOICE, "refused") if case.code in FIXED else ("refused",))
    if case.code:
        found = [each for each in report.problems if each["code"] == f"dataset.{case.code}"]
        assert found, report.problems
        told = (found[0]["where"]["line"], found[0]["severity"], found[0]["count"])
        assert told == (case.line, case.severity, case.count)
        assert case.words in found[0]["message"] + found[0]["hint"]


def _speaks_to_people(report: Report) -> None:
    for problem in report.problems:
        assert not SPEAKS_PYTHON.search(problem["message"] + problem["hint"])
        assert problem["hint"]


def test_a_short_word_that_happens_to_be_utf_8_is_converted_with_the_rest(tmp_path: Path) -> None:
    """As bytes of GBK, the word for thanks is also two Cyrillic letters of UTF-8."""
    content = (CHINESE + "谢谢,y\n").encode("gb18030") + "谢谢！,x\n".encode()
    report = read_here(tmp_path, "a.csv", content, choices={"encoding": "gb18030"})
    assert report.state == "ready", report.problems
    texts = [json.loads(line)["text"] for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert texts == ["你好", "你好吗", "谢谢", "谢谢吗", "再见", "再见吗", "谢谢", "谢谢！"]


def test_an_encoding_that_is_not_sure_is_not_named(tmp_path: Path) -> None:
    for content in (CHINESE.encode("gb18030"), JAPANESE.encode("shift_jis")):
        report = read_here(tmp_path, "a.csv", content)
        assert "looks like" not in report.problems[0]["message"]
        offers = {each["value"]: each["changes"][0]["text"] for each in report.offers["convert_encoding"]}
        assert offers.get("gb18030") == "你好,x" or offers.get("shift_jis") == "こんにちは,x"


def test_a_byte_order_mark_changes_neither_rows_nor_hash(tmp_path: Path) -> None:
    plain, marked = (read_here(tmp_path, "a.csv", mark + TABLE.encode()) for mark in (b"", b"\xef\xbb\xbf"))
    assert plain.sha256 == marked.sha256 != ""


def test_two_problems_are_both_told(tmp_path: Path) -> None:
    report = read_here(tmp_path, "a.jsonl", lines(*GOOD, b"{]", b"5", chat()))
    errors = {each["code"] for each in report.problems if each["severity"] == "error"}
    assert {"dataset.json_syntax", "dataset.not_an_object"} <= errors


def test_a_tar_in_gzip_is_never_opened(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("../../a.csv"), io.BytesIO())
    report = read_here(tmp_path, "a.tar.gz", gzip.compress(buffer.getvalue(), mtime=0))
    assert [each["code"] for each in report.problems] == ["dataset.archive_type"]


def test_an_unknown_compression_is_named(tmp_path: Path) -> None:
    """Case 68."""

    def written(compression: str) -> bytes:
        buffer = io.BytesIO()
        pq.write_table(pa.table({"text": ["a", "b"], "label": ["x", "y"]}), buffer, compression=compression)
        return buffer.getvalue()

    content = written("none")
    footer = content.rindex(b"PAR1") - 4 - int.from_bytes(content[-8:-4], "little")
    lzo = bytearray(content)
    places = [place for place in range(footer, len(content)) if content[place : place + 3] == b"\x15\x00\x16"]
    assert len(places) == 2, "one codec a column"
    for place in places:
        lzo[place + 1] = 6  # LZO, which no reader here has
    report = checked(tmp_path, "a.parquet", bytes(lzo))
    assert [each["code"] for each in report.problems] == ["dataset.unsupported_compression"]
    assert "LZO" in report.problems[0]["message"].upper()


def test_a_forged_count_of_rows_is_damage(tmp_path: Path) -> None:
    """Case 65."""
    buffer = io.BytesIO()
    pq.write_table(pa.table({"text": [f"t{n}" for n in range(77)], "label": ["x", "y", "z"] * 25 + ["x", "y"]}), buffer)
    content = buffer.getvalue()
    footer = content.rindex(b"PAR1") - 4 - int.from_bytes(content[-8:-4], "little")
    forged = content[:footer] + content[footer:].replace(b"\x9a\x01", b"\xff\x7f")
    assert forged != content
    report = checked(tmp_path, "a.parquet", forged)
    assert (report.state, [each["code"] for each in report.problems]) == ("refused", ["dataset.parquet_damaged"])


def test_the_same_rows_come_out_in_the_same_order_every_time(tmp_path: Path) -> None:
    reports = [
        read_here(tmp_path, "a.jsonl", lines(*GOOD, *({"text": json.dumps(n), "label": "pos"} for n in range(50))))
        for _ in range(2)
    ]
    assert reports[0].sha256 == reports[1].sha256
    assert reports[0].rows == reports[1].rows
