"""The corpus of bad files: text, JSON, CSV and chats; each case has its code, its line and a sentence that teaches."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from webapp.datasets.checking import check
from webapp.datasets.reading import Report, read

SPEAKS_PYTHON = re.compile(r"Traceback|\b\w+(Error|Exception|Warning)\b|NoneType|pyarrow|/home|/usr")
GOOD = [{"text": "good film", "label": "pos"}, {"text": "bad film", "label": "neg"}, {"text": "fine", "label": "pos"}]


def lines(*rows: Any) -> bytes:
    return b"\n".join(row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows) + b"\n"


def chat(*turns: tuple[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": content} for role, content in turns]}


@dataclass
class Case:
    """A file and what must be said about it."""

    name: str
    upload: str
    content: bytes
    code: str | None = None
    line: int | None = None
    severity: str = "error"
    count: int = 1
    words: str = ""
    state: str = ""
    """Else: refused by an error that no fix mends."""


CHOICE = "needs_choice"
"""A row can be left out, or the site can convert it, if a person says so."""
MENDED = {
    "not_utf8", "nul_char", "bad_unicode_escape", "control_char", "json_syntax", "jsonl_two_values", "truncated",
    "duplicate_key", "not_a_number", "number_too_large", "too_deep", "not_an_object", "type_changed", "missing_field",
    "ragged_row", "duplicate_column", "empty_column_name", "unknown_role", "no_assistant_turn", "empty_messages",
}  # fmt: skip

TALK = chat(("user", "hi"), ("assistant", "hello"))
CASES = [
    Case("1 byte order mark", "a.jsonl", b"\xef\xbb\xbf" + lines(*GOOD)),
    Case("1 byte order mark in a header", "a.csv", b"\xef\xbb\xbftext,label\na,x\nb,y\nc,x\n"),
    Case(
        "2 UTF-16 with a mark",
        "a.csv",
        "text,label\na,x\nb,y\nc,x\n".encode("utf-16"),
        "converted_utf16",
        None,
        "notice",
    ),
    Case(
        "2 UTF-16 without a mark", "a.csv", "text,label\na,x\nb,y\n".encode("utf-16-le"), "not_utf8", 1, words="UTF-16"
    ),
    Case("3 Latin-1", "a.csv", "text,label\na,x\ncafé,y\n".encode("latin-1"), "not_utf8", 3, words="Windows-1252"),
    Case("6 NUL byte", "a.jsonl", lines(*GOOD, b'{"text":"a\0","label":"x"}'), "nul_char", 4),
    Case("6 NUL escape", "a.jsonl", lines(*GOOD, b'{"text":"a\\u0000","label":"pos"}'), "nul_char", 4),
    Case("7 lone surrogate", "a.jsonl", lines(*GOOD, b'{"text":"\\ud800","label":"pos"}'), "bad_unicode_escape", 4),
    Case("8 overlong UTF-8", "a.jsonl", lines(*GOOD, b'{"text":"\xc0\xaf","label":"pos"}'), "not_utf8", 4),
    Case("9 CRLF", "a.csv", b"text,label\r\na,x\r\nb,y\r\nc,x\r\n"),
    Case("10 line separator inside text", "a.jsonl", lines(*GOOD, b'{"text":"a\xe2\x80\xa8b","label":"pos"}')),
    Case("10 raw control character", "a.jsonl", lines(*GOOD, b'{"text":"a\x0bb","label":"pos"}'), "json_syntax", 4),
    Case("10 raw control character", "a.csv", b"text,label\na\x0bb,x\nc,y\nd,x\n", "control_char", 2),
    Case("13 blank lines", "a.jsonl", lines(GOOD[0], b"", b"", *GOOD[1:]), "blank_lines", None, "notice", 2),
    Case("14 trailing comma", "a.jsonl", lines(*GOOD, b'{"text":"a","label":"x",}'), "json_syntax", 4, words="comma"),
    Case("15 one array", "a.jsonl", json.dumps(GOOD).encode(), "array_read", None, "notice"),
    Case("16 pretty-printed", "a.jsonl", json.dumps(GOOD[0], indent=1).encode(), "jsonl_multiline", 1),
    Case("17 two objects", "a.jsonl", lines(*GOOD, b'{"text":"a","label":"x"}{"text":"b"}'), "jsonl_two_values", 4),
    Case("18 cut off", "a.jsonl", lines(*GOOD) + b'{"text":"a","la', "truncated", 4, words="cut short"),
    Case("19 duplicate key", "a.jsonl", lines(*GOOD, b'{"text":"a","text":"b","label":"x"}'), "duplicate_key", 4),
    Case("20 NaN", "a.jsonl", lines(*GOOD, b'{"text":"a","label":NaN}'), "not_a_number", 4),
    Case("21 1e400", "a.jsonl", lines(*GOOD, b'{"text":"a","label":1e400}'), "number_too_large", 4),
    Case("22 10,000 digits", "a.jsonl", lines(*GOOD, b'{"label":' + b"9" * 10_000 + b"}"), "number_too_large", 4),
    Case("23 100,000 deep", "a.jsonl", lines(*GOOD, b"[" * 100_000 + b"]" * 100_000), "too_deep", 4, words="64"),
    Case("23 65 deep", "a.jsonl", lines(*GOOD, b'{"a":' + b"[" * 65 + b"]" * 65 + b"}"), "too_deep", 4),
    Case("24 a number", "a.jsonl", lines(*GOOD, b"5"), "not_an_object", 4, words="a number"),
    Case("24 null", "a.jsonl", lines(*GOOD, b"null"), "not_an_object", 4, words="null"),
    Case("25 type changed", "a.jsonl", lines(*GOOD, {"text": ["a"], "label": "x"}), "type_changed", 4, words="a list"),
    Case("26 key missing", "a.jsonl", lines(*GOOD, {"text": "a"}, {"text": "b"}), "missing_field", 4, count=2),
    Case("27 extra keys", "a.jsonl", lines(*(row | {"id": 1} for row in GOOD)), "unused_columns", None, "notice"),
    Case("28 empty text", "a.jsonl", lines(*GOOD, {"text": "  ", "label": "pos"}), "empty_text", 4, "warning"),
    Case(
        "29 a very long line",
        "a.jsonl",
        b'{"text":"' + b"a" * (17 * 1024**2) + b'"}',
        "line_too_long",
        1,
        words="16 MiB",
    ),
    Case("31 long row", "a.csv", b"text,label\na,x\nb,y,z\n", "ragged_row", 3, words="3 values"),
    Case("31 short row", "a.csv", b"text,label\na,x\nb\n", "ragged_row", 3, words="1 value"),
    Case("32 unclosed quote", "a.csv", b'text,label\n"a,x\nb,y\nc,x\n', "unclosed_quote", 2, words="line 2"),
    Case("33 duplicate header", "a.csv", b"text,label,text\na,x,b\n", "duplicate_column", 1),
    Case("34 empty header name", "a.csv", b"text,,label\na,x,b\n", "empty_column_name", 1),
    Case("35 header only", "a.csv", b"text,label\n", "no_rows"),
    Case("36 semicolon", "a.csv", b"text;label\na, b;x\nb;y\nc;x\n"),
    Case("36 tab", "a.tsv", b"text\tlabel\na, b\tx\nb\ty\nc\tx\n"),
    Case("37 newline in a field", "a.csv", b'text,label\n"a\nb",x\nb,y\nc\n', "ragged_row", 5),
    Case("38 a field of 9 MiB", "a.csv", b"text,label\n" + b"a" * (9 * 1024**2) + b",x\n", "field_too_long", 2),
    Case("39 many columns", "a.csv", ",".join(f"c{n}" for n in range(10_000)).encode() + b"\n", "too_many_columns", 1),
    Case("40 sep=;", "a.csv", b"sep=;\ntext;label\na;x\nb;y\nc;x\n", "separator_line", 1, "notice"),
    Case("41 formulas stay text", "a.csv", b"text,label\n=1+1,x\n@x,y\n-x,x\n"),
    Case(
        "43 unknown role", "a.jsonl", lines(TALK, chat(("user", "a"), ("bot", "b"))), "unknown_role", 2, words="`bot`"
    ),
    Case("44 no assistant", "a.jsonl", lines(TALK, chat(("user", "a"))), "no_assistant_turn", 2),
    Case(
        "45 system not first",
        "a.jsonl",
        lines(chat(("user", "a"), ("system", "b"), ("assistant", "c"))),
        "system_not_first",
        1,
        "warning",
    ),
    Case("46 empty messages", "a.jsonl", lines(TALK, {"messages": []}), "empty_messages", 2),
    Case(
        "47 images",
        "a.jsonl",
        lines(chat(("user", [1]), ("assistant", "b"))),
        "multimodal_content",
        1,
        words="text only",
    ),
    Case(
        "48 ShareGPT",
        "a.jsonl",
        lines({"conversations": [{"from": "human", "value": "a"}]}),
        "sharegpt",
        1,
        words="converted",
        state=CHOICE,
    ),
    Case(
        "50 two user turns",
        "a.jsonl",
        lines(chat(("user", "a"), ("user", "b"), ("assistant", "c")), TALK),
        "turns_not_alternating",
        1,
        "warning",
    ),
    Case(
        "53 one class",
        "a.jsonl",
        lines(*({"text": str(n), "label": "yes"} for n in range(9))),
        "one_class",
        words="`yes`",
    ),
    Case(
        "53 unbalanced",
        "a.jsonl",
        lines(*({"text": str(n), "label": n < 2} for n in range(50))),
        "labels_unbalanced",
        None,
        "warning",
    ),
    Case("54 a class with one row", "a.jsonl", lines(*GOOD), "class_too_small", None, "warning"),
    Case(
        "55 1 and '1'", "a.jsonl", lines({"text": "a", "label": 1}, {"text": "b", "label": "1"}), "mixed_label_types", 2
    ),
    Case(
        "56 too many labels",
        "a.jsonl",
        lines(*({"text": str(n), "label": n} for n in range(1500))),
        "too_many_classes",
        words="right column",
    ),
    Case(
        "57 space", "a.jsonl", lines(*GOOD, {"text": "b", "label": "pos "}), "labels_differ_by_space", None, "warning"
    ),
    Case("61 no bytes", "a.csv", b"", "empty_file"),
    Case("76 PNG", "a.csv", b"\x89PNG\r\n\x1a\n", "wrong_type", words="PNG image, not CSV"),
    Case("76 PDF", "a.csv", b"%PDF-1.7", "wrong_type", words="PDF"),
    Case(
        "76 workbook",
        "a.csv",
        b"PK\x03\x04" + b" " * 26 + b"[Content_Types].xml xl/",
        "wrong_type",
        words="Save the sheet",
    ),
    Case("76 HTML", "a.csv", b"<!DOCTYPE html><html>", "wrong_type", words="HTML"),
    Case("76 pickle", "a.jsonl", b"\x80\x04\x95", "wrong_type", words="never opened"),
    Case("75 7z", "a.7z", b"7z\xbc\xaf\x27\x1c", "archive_type", words=".zip or a single file"),
    Case("75 rar", "a.rar", b"Rar!\x1a\x07", "archive_type", words=".zip or a single file"),
    Case("75 tar", "a.tar", b"a.csv" + b"\0" * 252 + b"ustar\x00" + b"\0" * 200, "archive_type", words="tar"),
    Case("77 only a mark", "a.csv", b"\xef\xbb\xbf", "empty_file"),
    Case("77 only newlines", "a.jsonl", b"\n\n\r\n", "empty_file"),
    Case("no fitting column", "a.csv", b"one,two\na,b\n", "missing_column", None, words="`one`, `two`"),
    Case("repeated rows", "a.jsonl", lines(*GOOD, GOOD[0]), "duplicate_row", 4, "warning"),
]


IN_THE_CHILD = {"1 byte order mark", "23 100,000 deep", "29 a very long line", "48 ShareGPT"}
"""Read as the site reads them: what could hurt a process, and one of each way to end."""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_file_gets_its_answer(tmp_path: Path, case: Case) -> None:
    report = (checked if case.name in IN_THE_CHILD else read_here)(tmp_path, case.upload, case.content)
    for problem in report.problems:
        assert not SPEAKS_PYTHON.search(problem["message"] + problem["hint"])
        assert problem["hint"]
        assert len(problem["where"]["excerpt"] or "") <= 80
    if case.code is None or case.severity != "error":
        assert report.state == "ready", report.problems
    else:
        assert report.state == (case.state or (CHOICE if case.code in MENDED else "refused"))
        left = sorted(path.name for path in tmp_path.iterdir())
        assert left == ["rows.jsonl.problems", "upload"]  # nothing half-written
    if case.code:
        found = [each for each in report.problems if each["code"] == f"dataset.{case.code}"]
        assert found, report.problems
        assert (found[0]["where"]["line"], found[0]["severity"], found[0]["count"]) == (
            case.line,
            case.severity,
            case.count,
        )
        assert case.words in found[0]["message"] + found[0]["hint"]


def checked(folder: Path, name: str, content: bytes, **asked: Any) -> Report:
    (folder / "upload").write_bytes(content)
    return check(folder / "upload", name, folder / "rows.jsonl", **asked)


def read_here(folder: Path, name: str, content: bytes, **asked: Any) -> Report:
    """Without a child of its own, which takes longer than the reading."""
    (folder / "upload").write_bytes(content)
    return read(folder / "upload", name, folder / "rows.jsonl", **asked)
