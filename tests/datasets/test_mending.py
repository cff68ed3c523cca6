"""Each fix that is offered mends what it is offered for, and says so; nothing else is changed."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.datasets.test_columnar import ROWS, parquet
from tests.datasets.test_corpus import GOOD, TALK, lines, read_here
from webapp.datasets.problems import OFFERED

CSV = b"text,label\na,x\nb,y\nc,x\n"
SHARED = [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "yes"}]
MENDED: list[tuple[str, str, str, bytes, dict[str, Any]]] = [
    ("nul_char", "strip_nul", "a.jsonl", lines(*GOOD, b'{"text":"a\0b","label":"pos"}'), {"text": "ab"}),
    ("nul_char", "strip_nul", "a.jsonl", lines(*GOOD, b'{"text":"a\\u0000b","label":"pos"}'), {"text": "ab"}),
    ("nul_char", "strip_nul", "a.csv", CSV + b"a\0b,x\n", {"text": "ab"}),
    ("nul_char", "strip_nul", "a.txt", b"one\ntwo\na\0b\n", {"text": "ab"}),
    ("nul_char", "strip_nul", "a.parquet", parquet([*ROWS, {"text": "a\0b", "label": "a"}]), {"text": "ab"}),
    ("duplicate_column", "rename_columns", "a.csv", b"text,label,text\na,x,1\nb,y,2\nc,x,3\n", {"text": "c"}),
    ("empty_column_name", "drop_column", "a.csv", b",text,label\n0,a,x\n1,b,y\n2,c,x\n", {"text": "c"}),
    ("labels_differ_by_space", "trim_labels", "a.csv", CSV + b"d,x \n", {"label": "x"}),
    ("labels_differ_by_space", "trim_labels", "a.csv", CSV + b"d, X\n", {"label": "x"}),
    ("labels_differ_by_space", "trim_labels", "a.csv", "text,label\na,é\nb,y\nc,e\u0301\n".encode(), {"label": "é"}),
    ("sharegpt", "convert_sharegpt", "a.jsonl", lines(TALK, {"messages": SHARED}), {
        "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}]}),
    ("number_format", "convert_numbers:point", "a.csv", b'text,label\na,1\nb,2\nc,"2,0"\n', {"label": "2"}),
    ("duplicate_row", "keep_one", "a.csv", CSV + b"a,x\n", {"text": "c"}),
]  # fmt: skip


@pytest.mark.parametrize(("code", "fix", "name", "content", "last"), MENDED)
def test_a_fix_mends_what_it_is_offered_for(
    tmp_path: Path, code: str, fix: str, name: str, content: bytes, last: dict[str, Any]
) -> None:
    before = read_here(tmp_path, name, content)
    offered = next(each["fixes"] for each in before.problems if each["code"] == f"dataset.{code}")
    assert fix.partition(":")[0] in offered
    report = read_here(tmp_path, name, content, choices={"fixes": {code: fix}})
    assert report.state == "ready", report.problems
    assert f"dataset.{code}" not in {each["code"] for each in report.problems}
    stored = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert stored[-1] | last == stored[-1]


def test_every_fix_on_offer_is_tried_here_or_where_it_is_made() -> None:
    tried = {fix.partition(":")[0] for _, fix, *_ in MENDED}
    several = {"convert_encoding", "choose_entry", "choose_second_entry"}
    of_tokens = set(OFFERED["too_long"])  # see test_steps.py and tests/jobs/test_token_reports.py
    assert {fix for fixes in OFFERED.values() for fix in fixes} == tried | several | of_tokens


def test_56_a_hundred_thousand_labels_are_counted(tmp_path: Path) -> None:
    rows = b"".join(b"t%d,label %d\n" % (n, n % 100_000) for n in range(120_000))
    report = read_here(tmp_path, "a.csv", b"text,label\n" + rows)
    (told,) = [each for each in report.problems if each["severity"] == "error"]
    assert told["code"] == "dataset.too_many_classes"
    assert told["message"] == "100,000 labels in 120,000 rows: is this the right column?"


@pytest.mark.parametrize("content", [parquet(ROWS), parquet([]), parquet([{"text": b"\0"}])], ids=range(3))
def test_72_parquet_in_gzip_gets_the_answer_of_the_file(tmp_path: Path, content: bytes) -> None:
    plain = read_here(tmp_path, "a.parquet", content)
    packed = read_here(tmp_path, "a.parquet.gz", gzip.compress(content, mtime=0))
    assert (packed.state, packed.problems and packed.problems[0]["code"], packed.sha256) == (
        plain.state, plain.problems and plain.problems[0]["code"], plain.sha256
    )  # fmt: skip
