"""What kind of file this is, from its content: format, encoding; files of another kind are refused by name."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from webapp.datasets.encodings import CHOICES, SAVE_UTF8, WHOLE, convert
from webapp.datasets.problems import Problems
from webapp.datasets.unpacking import is_workbook

SAMPLE_BYTES = 64 * 1024
ONE_FILE = "Upload the data file itself."
ARCHIVE_TYPE = "Upload a .zip or a single file."
KINDS: tuple[tuple[bytes, str, str], ...] = (
    (b"\x89PNG", "a PNG image", ONE_FILE),
    (b"\xff\xd8\xff", "a JPEG image", ONE_FILE),
    (b"GIF8", "a GIF image", ONE_FILE),
    (b"%PDF", "a PDF document", "Copy the table out of it and save it as CSV."),
    (b"\xd0\xcf\x11\xe0", "an old Office document", "Save the sheet as CSV."),
    (b"FEA1", "a Feather file of the first version", "Save it again with a newer program, or as CSV."),
    (b"SQLite format 3", "an SQLite database", "Export the table as CSV."),
)
ARCHIVES = (
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"7z\xbc\xaf", "7z"),
    (b"Rar!", "RAR"),
)
STREAM = b"\xff\xff\xff\xff"
PICKLE = re.compile(rb"\x80[\x02-\x05][\x00-\xff]|\(lp\d|\(dp\d|ccopy_reg\n|c__builtin__\n")
NO_TEXT = bytes({*range(0x20), 0x7F} - set(b"\t\n\r\v\f"))
UTF32 = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
UTF16 = ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
JSON_NAMES, CSV_NAMES, TEXT_NAMES = (".jsonl", ".json", ".ndjson"), (".csv", ".tsv"), (".txt", ".text")


def sniff(source: Path, name: str, scratch: Path, problems: Problems, encoding: str = "") -> tuple[Path, str]:
    """The file to read (the source, or its copy in UTF-8 at `scratch`) and its kind: see KINDS_READ.

    Raises Refused for anything else.
    """
    head = _head(source)
    if kind := _columnar(head, name):
        if kind == "encrypted":
            raise problems.refuse("encrypted_file", "The Parquet file is encrypted.", "Save it without encryption.")
        return source, kind
    _refuse_other_kinds(head, name, problems)
    for mark, marked in UTF16:
        if head.startswith(mark) and not head.startswith(UTF32):
            convert(source, marked, scratch, problems)
            problems.notice("converted_utf16", "The file was UTF-16 and was read as such.")
            source, head = scratch, _head(scratch)
    if encoding in WHOLE and _looks_utf16(head):
        convert(source, encoding, scratch, problems)
        problems.notice("converted", f"The file was converted from {CHOICES[encoding]}, as chosen.")
        source, head = scratch, _head(scratch)
    _refuse_unmarked(head, name, problems)
    content = head.removeprefix(codecs.BOM_UTF8).strip()
    if not content and source.stat().st_size <= SAMPLE_BYTES:
        raise problems.refuse("empty_file", "The file is empty.", "Upload a file with rows in it.")
    return source, _format(content, name.lower())


KINDS_READ = ("jsonl", "array", "csv", "text", "parquet", "arrow")


def _columnar(head: bytes, name: str) -> str:
    """`parquet`, `arrow` or `encrypted` by the first bytes; a Parquet name alone is enough to be read as one."""
    if head.startswith(b"PARE"):
        return "encrypted"
    if head.startswith(b"PAR1"):
        return "parquet"
    named = name.lower().endswith((".arrow", ".feather")) and head.startswith(STREAM)
    return "arrow" if head.startswith(b"ARROW1") or named else ""


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(SAMPLE_BYTES)


def _format(content: bytes, name: str) -> str:
    if re.match(rb"\[\s*(\{|\]|$)", content):
        return "array"
    if name.endswith(JSON_NAMES) or content.startswith(b"{"):
        return "jsonl"
    return "text" if name.endswith(TEXT_NAMES) else "csv"


def _wanted(name: str) -> str:
    suffix = Path(name).suffix.lower()
    if suffix in JSON_NAMES:
        return "JSONL"
    known = (*CSV_NAMES, ".parquet", ".arrow")
    return suffix[1:].upper() if suffix in known else "a data file"


def _refuse_other_kinds(head: bytes, name: str, problems: Problems) -> None:
    archive = next((what for magic, what in ARCHIVES if head.startswith(magic)), "")
    if archive or head[257:262] == b"ustar":
        raise problems.refuse("archive_type", f"This is a {archive or 'tar'} archive.", ARCHIVE_TYPE)
    kind, hint = _kind(head)
    if kind:
        raise problems.refuse("wrong_type", f"This is {kind}, not {_wanted(name)}.", hint)


def _kind(head: bytes) -> tuple[str, str]:
    if head.startswith(b"PK\x03\x04") and is_workbook(head):
        return "an Excel workbook", "Save the sheet as CSV."
    if PICKLE.match(head):
        return "a Python pickle", "Save the rows as JSONL or CSV; a pickle is never opened."
    if re.match(rb"(?i)\s*(<!--.*?-->\s*)?<(!doctype html|html|head|body)", head.removeprefix(codecs.BOM_UTF8)):
        return "an HTML page", "Was a sign-in page saved instead of the file? Download the file itself."
    return next(((kind, hint) for magic, kind, hint in KINDS if head.startswith(magic)), ("", ""))


def _refuse_unmarked(head: bytes, name: str, problems: Problems) -> None:
    """UTF-16 and UTF-32 that do not say so well enough to be read, and files that are no text at all."""
    looks = "UTF-32" if head.startswith(UTF32) else "UTF-16" if _looks_utf16(head) else ""
    if looks:
        message = f"The file looks like {looks}; save it as UTF-8."
        raise problems.refuse("not_utf8", message, SAVE_UTF8, line=1)
    if len(head) - len(head.translate(None, NO_TEXT)) > 0.1 * len(head):
        raise problems.refuse("wrong_type", f"This is a binary file, not {_wanted(name)}.", ONE_FILE)


def _looks_utf16(head: bytes) -> bool:
    """Every second byte zero: text of mostly Latin letters in UTF-16."""
    even, odd = head[0::2].count(0), head[1::2].count(0)
    return len(head) >= 8 and max(even, odd) > 0.2 * len(head) and min(even, odd) < 0.05 * len(head)
