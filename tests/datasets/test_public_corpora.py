"""Corpora that others made to break readers: JSONTestSuite, csv-spectrum, the big list of naughty strings."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from webapp.datasets.csv_rows import CsvFile
from webapp.datasets.encodings import Decoder
from webapp.datasets.json_rows import JsonFile
from webapp.datasets.limits import Limits
from webapp.datasets.problems import Problems, Refused
from webapp.datasets.reading import read

CORPORA = Path(__file__).parent / "corpora"


def corpus(name: str) -> Any:
    return json.loads((CORPORA / name).read_text())


SUITE: dict[str, str] = corpus("json_test_suite.json") | {
    "n_structure_100000_opening_arrays": "[" * 100_000,
    "n_structure_open_array_object": '[{"":' * 50_000,
}
STRICTER = {
    "y_object_duplicated_key": "duplicate_key",
    "y_object_duplicated_key_and_value": "duplicate_key",
    "y_object_escaped_null_in_key": "nul_char",
    "y_string_null_escape": "nul_char",
}
"""What the grammar allows and a dataset cannot hold."""


def told(path: Path, name: str) -> list[str]:
    """Codes of problems where a case stands as a value in the second of three rows: lines, or of an array."""
    raw = SUITE[name].encode("utf-8", "surrogatepass").replace("\ufffd".encode(), b"\xff")
    problems = Problems("a.jsonl")
    file = JsonFile(path, problems, Limits(), Decoder(problems))
    in_array = b"\n" in raw
    start, between, end = (b"[", b",", b"]") if in_array else (b"", b"\n", b"\n")
    path.write_bytes(start + between.join([b'{"text":"a"}', b'{"value":' + raw + b"}", b'{"text":"c"}']) + end)
    try:
        rows = list(file.elements() if in_array else file.lines())
    except Refused:
        rows = []
    assert bool(problems.fatal) == (len(rows) < 3)
    return [code.removeprefix("dataset.") for code, first in problems.kinds.items() if first[0].severity == "error"]


def test_the_suite_is_whole() -> None:
    """Case 30."""
    assert [sum(name.startswith(kind) for name in SUITE) for kind in ("y_", "n_", "i_")] == [95, 188, 35]


def test_what_the_grammar_allows_is_read(tmp_path: Path) -> None:
    found = {}
    for name in SUITE:
        if name.startswith("y_") and (codes := told(tmp_path / "a", name)):
            found[name] = codes[0]
    assert found == STRICTER


def test_what_the_grammar_forbids_is_refused(tmp_path: Path) -> None:
    read_on = [name for name in SUITE if name.startswith("n_") and not told(tmp_path / "a", name)]
    assert read_on == []


def test_what_is_left_to_the_reader_breaks_nothing(tmp_path: Path) -> None:
    for name in SUITE:
        if name.startswith("i_"):
            told(tmp_path / "a", name)


SLIPS = {"location_coordinates": {"Contact Phone Number": "2095257564"}}
"""Where a JSON file of the corpus does not say what its own CSV file holds."""


@pytest.mark.parametrize("name", corpus("csv_spectrum.json"))
def test_csv_spectrum_is_read_as_its_json_says(tmp_path: Path, name: str) -> None:
    case = corpus("csv_spectrum.json")[name]
    (tmp_path / "a.csv").write_bytes(case["csv"].encode())
    problems = Problems("a.csv")
    rows = [row for _, _, row in CsvFile(tmp_path / "a.csv", problems, Limits(), Decoder(problems)).rows()]
    wanted = case["rows"] if isinstance(case["rows"], list) else [case["rows"]]
    assert rows == [row | SLIPS.get(name, {}) for row in wanted]
    assert not problems.fatal


NAUGHTY = [text for text in corpus("blns.json") if text.strip()]
CONTROL = {*map(chr, range(0x20))} - {"\t", "\n", "\r"}


def written(name: str, texts: list[str]) -> bytes:
    rows = [{"text": f"{n}{text}", "label": "ab"[n % 2], "note": text} for n, text in enumerate(texts)]
    buffer = io.BytesIO()
    if name.endswith("parquet"):
        pq.write_table(pa.Table.from_pylist(rows), buffer)
    elif name.endswith("csv"):
        lines = io.StringIO(newline="")
        table = csv.DictWriter(lines, ["text", "label", "note"])
        table.writeheader()
        table.writerows(rows)
        buffer.write(lines.getvalue().encode())
    else:
        buffer.write(b"\n".join(map(orjson.dumps, rows)))
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.parquet"])
def test_naughty_strings_come_back_byte_for_byte(tmp_path: Path, name: str) -> None:
    """Case 11."""
    assert len(corpus("blns.json")) == 485
    texts = [text for text in NAUGHTY if not (name == "a.csv" and CONTROL & set(text))]
    (tmp_path / "upload").write_bytes(written(name, texts))
    report = read(tmp_path / "upload", name, tmp_path / "rows.jsonl")
    assert report.state == "ready", [each for each in report.problems if each["severity"] == "error"]
    stored = [json.loads(line)["text"] for line in (tmp_path / "rows.jsonl").read_bytes().splitlines()]
    assert stored == [f"{n}{text}" for n, text in enumerate(texts)]
    assert report.preview[0]["text"] == stored[0]
