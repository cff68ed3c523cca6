"""Gzip and zip: every file gives the same answer packed; what is hostile in an archive is named and never unpacked."""

from __future__ import annotations

import gzip
import io
import json
import random
import stat
import zipfile
from functools import partial
from pathlib import Path

import pytest

from tests.datasets.test_corpus import CASES, SPEAKS_PYTHON, Case
from tests.datasets.test_corpus_more import CASES as MORE
from webapp.datasets.limits import Limits
from webapp.datasets.reading import Report, read

squeezed = partial(gzip.compress, mtime=0)
"""Without the time of day, which would also stand in test ids."""

ROWS = "\n".join(json.dumps({"text": f"t{n}", "label": "ab"[n % 2]}) for n in range(20)).encode()
PACKABLE = [case for case in (*CASES, *MORE) if case.code != "line_too_long" and not case.name.startswith("75 tar")]


def report_on(folder: Path, name: str, content: bytes, limits: Limits | None = None, entry: str = "") -> Report:
    (folder / "upload").write_bytes(content)
    report = read(folder / "upload", name, folder / "rows.jsonl", limits=limits, choices={"entry": entry})
    assert {path.name for path in folder.iterdir()} <= {
        "upload",
        "rows.jsonl",
        "rows.jsonl.problems",
        "rows.jsonl.remarks",
    }
    for problem in report.problems:
        assert not SPEAKS_PYTHON.search(problem["message"] + problem["hint"])
    return report


def only_error(report: Report) -> str:
    errors = [each["code"].removeprefix("dataset.") for each in report.problems if each["severity"] == "error"]
    assert len(errors) == 1, report.problems
    return str(errors[0])


def zipped(*entries: tuple[str | zipfile.ZipInfo, bytes], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", how) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize("case", PACKABLE, ids=lambda case: case.name)
def test_a_packed_file_gets_the_answer_of_the_file(tmp_path: Path, case: Case) -> None:
    """Case 72."""
    plain = report_on(tmp_path, case.upload, case.content)
    packed = report_on(tmp_path, case.upload + ".gz", squeezed(case.content, 1))
    in_zip = report_on(tmp_path, "a.zip", zipped((case.upload, case.content), how=zipfile.ZIP_STORED))

    def told(report: Report) -> list[tuple[str, int | None, int]]:
        return [(each["code"], each["where"]["line"], each["count"]) for each in report.problems]

    if case.code != "archive_type":
        assert (packed.state, told(packed), packed.sha256) == (plain.state, told(plain), plain.sha256)
        assert in_zip.state == plain.state or in_zip.problems[0]["code"] == "dataset.nested_archive"


def test_all_members_of_a_gzip_file_are_read(tmp_path: Path) -> None:
    report = report_on(tmp_path, "a.jsonl.gz", squeezed(ROWS[:300]) + squeezed(ROWS[300:]))
    assert (report.state, report.rows["read"], report.format) == ("ready", 20, "JSONL, gzip")


@pytest.mark.parametrize("bomb", [squeezed(bytes(3_000_000)), zipped(("a.csv", bytes(900_000)))])
def test_a_bomb_stops_at_the_budget(tmp_path: Path, bomb: bytes) -> None:
    limits = Limits(output_bytes_least=200_000, output_times_source=0)
    report = report_on(tmp_path, "a.gz", bomb, limits)
    assert only_error(report) == "expands_too_far"
    assert f"{len(bomb):,} packed bytes" in report.problems[0]["message"]


def test_a_zip_bomb_is_known_by_its_ratio(tmp_path: Path) -> None:
    report = report_on(tmp_path, "a.zip", zipped(("a.csv", bytes(4_000_000))))
    assert only_error(report) == "expands_too_far"


def test_a_zip_that_lies_about_its_size_stops_there_too(tmp_path: Path) -> None:
    honest = zipped(("a.csv", b"text,label\n" + b"a,b\n" * 100_000))
    size = (11 + 400_000).to_bytes(4, "little")
    report = report_on(tmp_path, "a.zip", honest.replace(size, (20).to_bytes(4, "little")))
    assert report.state == "refused"


@pytest.mark.parametrize("cut", [1, 9, 100])
def test_a_cut_gzip_file_is_truncated(tmp_path: Path, cut: int) -> None:
    content = squeezed(random.Random(1).randbytes(5_000))
    assert only_error(report_on(tmp_path, "a.jsonl.gz", content[:-cut])) == "truncated"


def test_a_gzip_file_with_a_wrong_checksum_is_damaged(tmp_path: Path) -> None:
    content = bytearray(squeezed(ROWS))
    content[-6] ^= 255
    assert only_error(report_on(tmp_path, "a.jsonl.gz", bytes(content))) == "archive_damaged"


def linked() -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo("a.csv")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


def overlapping() -> bytes:
    """Two entries of the directory that share one place in the file."""
    content = bytearray(zipped(("a.csv", b"a,b\n"), ("b.csv", b"c,d\n")))
    second = content.rindex(b"PK\x01\x02")
    content[second + 42 : second + 46] = (0).to_bytes(4, "little")
    return bytes(content)


def encrypted() -> bytes:
    content = bytearray(zipped(("a.csv", b"a,b\n")))
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + place] |= 1
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (zipped(("../../etc/evil.csv", b"a,b\n")), "unsafe_archive", "points outside"),
        (zipped(("/etc/evil.csv", b"a,b\n")), "unsafe_archive", "points outside"),
        (zipped(("C:\\evil.csv", b"a,b\n")), "unsafe_archive", "points outside"),
        (zipped((linked(), b"/etc/passwd")), "unsafe_archive", "a link"),
        (overlapping(), "unsafe_archive", "overlaps"),
        (encrypted(), "encrypted_file", "`a.csv`"),
        (zipped(*((f"{n}.csv", b"") for n in range(1001))), "too_many_entries", "1,001"),
        (zipped(("in.zip", zipped(("a.csv", b"")))), "nested_archive", "`in.zip`"),
        (zipped(("in.csv", zipped(("a.csv", b"")))), "nested_archive", "another archive"),
        (zipped(("a.csv", squeezed(b"a"))), "nested_archive", "another archive"),
        (squeezed(squeezed(b"a")), "nested_archive", "another archive"),
        (zipped(("a.csv", b"\x89PNG\r\n")), "wrong_type", "PNG"),
        (zipped(("folder/", b"")), "empty_file", "no file"),
        (b"PK\x03\x04" + b"noise" * 50, "archive_damaged", "damaged"),
    ],
)
def test_what_an_archive_may_not_be(tmp_path: Path, content: bytes, code: str, words: str) -> None:
    """Cases 73, 74."""
    report = report_on(tmp_path, "a.zip", content)
    assert (report.state, only_error(report)) == ("refused", code)
    assert words in report.problems[0]["message"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_stands_twice_is_unsafe(tmp_path: Path) -> None:
    report = report_on(tmp_path, "a.zip", zipped(("a.csv", b"a"), ("a.csv", b"b")))
    assert only_error(report) == "unsafe_archive"


def test_of_several_files_the_person_chooses(tmp_path: Path) -> None:
    content = zipped(("one.jsonl", ROWS), ("data/two.jsonl", ROWS[:400]), ("README.md", b"hi"), ("__MACOSX/x", b""))
    asked = report_on(tmp_path, "a.zip", content)
    assert (asked.state, only_error(asked)) == ("needs_choice", "several_files")
    assert [each["value"] for each in asked.offers["choose_entry"]] == ["one.jsonl", "data/two.jsonl"]
    chosen = report_on(tmp_path, "a.zip", content, entry="one.jsonl")
    assert (chosen.state, chosen.rows["read"], chosen.format) == ("ready", 20, "JSONL, one.jsonl in a zip")
    assert only_error(report_on(tmp_path, "a.zip", content, entry="none.jsonl")) == "entry"
