"""What kind of file this is, from its content: format, encoding; files of another kind are refused by name."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from webapp.datasets.problems import Problems

SAMPLE_BYTES = 64 * 1024
ONE_FILE = "Upload the .jsonl or .csv file itself."
UNPACK = f"Unpack it first. {ONE_FILE}"
OTHER_SAVE = "Save it as JSONL or CSV."
KINDS: tuple[tuple[bytes, str, str], ...] = (
    (b"\x89PNG", "a PNG image", ONE_FILE),
    (b"\xff\xd8\xff", "a JPEG image", ONE_FILE),
    (b"GIF8", "a GIF image", ONE_FILE),
    (b"%PDF", "a PDF document", "Copy the table out of it and save it as CSV."),
    (b"\xd0\xcf\x11\xe0", "an old Office document", "Save the sheet as CSV."),
    (b"\x1f\x8b", "a gzip archive", UNPACK),
    (b"BZh", "a bzip2 archive", UNPACK),
    (b"\xfd7zXZ", "an xz archive", UNPACK),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", UNPACK),
    (b"7z\xbc\xaf", "a 7z archive", UNPACK),
    (b"Rar!", "a RAR archive", UNPACK),
    (b"PAR1", "a Parquet file", OTHER_SAVE),
    (b"ARROW1", "an Arrow file", OTHER_SAVE),
    (b"SQLite format 3", "an SQLite database", "Export the table as CSV."),
)
PICKLE = re.compile(rb"\x80[\x02-\x05][\x00-\xff]|\(lp\d|\(dp\d|ccopy_reg\n|c__builtin__\n")
NO_TEXT = bytes({*range(0x20), 0x7F} - set(b"\t\n\r\v\f"))
UTF32 = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
UTF16 = ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
JSON_NAMES, CSV_NAMES = (".jsonl", ".json", ".ndjson"), (".csv", ".tsv")
SAVE_UTF8 = "Open it in an editor and save it with the encoding UTF-8."
CODE_PAGE_LETTERS = set(range(0xC0, 0x100)) - {0xD7, 0xF7} | {0x80, 0x85, 0x91, 0x92, 0x93, 0x94, 0x96, 0x97}


def sniff(source: Path, name: str, scratch: Path, problems: Problems) -> tuple[Path, str]:
    """The file to read (the source, or its copy in UTF-8 at `scratch`) and `jsonl`, `array` or `csv`.

    Raises Refused for anything else.
    """
    head = _head(source)
    _refuse_other_kinds(head, name, problems)
    for mark, encoding in UTF16:
        if head.startswith(mark) and not head.startswith(UTF32):
            _convert(source, encoding, scratch, problems)
            problems.notice("converted_utf16", "The file was UTF-16 and was read as such.")
            source, head = scratch, _head(scratch)
    _refuse_unmarked(head, name, problems)
    content = head.removeprefix(codecs.BOM_UTF8).strip()
    if not content and source.stat().st_size <= SAMPLE_BYTES:
        raise problems.refuse("empty_file", "The file is empty.", "Upload a file with rows in it.")
    return source, _format(content, name.lower())


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(SAMPLE_BYTES)


def _format(content: bytes, name: str) -> str:
    if re.match(rb"\[\s*(\{|\]|$)", content):
        return "array"
    if name.endswith(JSON_NAMES) or content.startswith(b"{"):
        return "jsonl"
    return "csv"


def _wanted(name: str) -> str:
    suffix = Path(name).suffix.lower()
    if suffix in JSON_NAMES:
        return "JSONL"
    return suffix[1:].upper() if suffix in CSV_NAMES else "JSONL or CSV"


def _refuse_other_kinds(head: bytes, name: str, problems: Problems) -> None:
    kind, hint = _kind(head)
    if kind:
        raise problems.refuse("wrong_type", f"This is {kind}, not {_wanted(name)}.", hint)


def _kind(head: bytes) -> tuple[str, str]:
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        if b"xl/" in head or b"[Content_Types].xml" in head[:200]:
            return "an Excel workbook", "Save the sheet as CSV."
        return "a zip archive", UNPACK
    if head[257:262] == b"ustar":
        return "a tar archive", UNPACK
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


def _convert(source: Path, encoding: str, target: Path, problems: Problems) -> None:
    line = 1
    try:
        with source.open(encoding=encoding, newline="") as old, target.open("w", encoding="utf-8", newline="") as new:
            while chunk := old.read(1024 * 1024):
                new.write(chunk.removeprefix("\ufeff"))
                line += chunk.count("\n")
    except UnicodeError as error:
        message = f"The file starts like UTF-16, but after line {line:,} it is not."
        hint = f"Was it cut short? {SAVE_UTF8}"
        raise problems.refuse("not_utf8", message, hint) from error


def decode_line(line: bytes, number: int, row: int | None, problems: Problems) -> str | None:
    """The line as text; None after noting why it is not."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        guess = _guess(line)
        message = f"Line {number:,}, byte 0x{line[error.start]:02X} is not UTF-8"
        message += f"; the file looks like {guess}." if guess else "."
        shown = line[max(0, error.start - 30) : error.start + 30].decode("utf-8", "backslashreplace")
        hint = "Save the file with the encoding UTF-8."
        problems.error("not_utf8", message, hint, line=number, row=row, column=error.start + 1, excerpt=shown)
        return None


def _guess(line: bytes) -> str:
    """Windows-1252 where few bytes are high and each would be a Latin letter or a usual sign; else no guess."""
    high = [byte for byte in line if byte >= 0x80]
    return "Windows-1252" if set(high) <= CODE_PAGE_LETTERS and len(high) < 0.3 * len(line) else ""
