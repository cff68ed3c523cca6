"""What kind of file this is, from its content: format, encoding; files of another kind are refused by name."""

from __future__ import annotations

import codecs
from pathlib import Path

from webapp.datasets.problems import Problems

SAMPLE_BYTES = 64 * 1024
ONE_FILE = "Upload the .jsonl or .csv file itself."
KINDS: tuple[tuple[bytes, str, str], ...] = (
    (b"\x89PNG", "a PNG image", ONE_FILE),
    (b"\xff\xd8\xff", "a JPEG image", ONE_FILE),
    (b"%PDF", "a PDF document", "Copy the table out of it and save it as CSV."),
    (b"\x1f\x8b", "a gzip archive", f"Unpack it first. {ONE_FILE}"),
    (b"BZh", "a bzip2 archive", f"Unpack it first. {ONE_FILE}"),
    (b"\xfd7zXZ", "an xz archive", f"Unpack it first. {ONE_FILE}"),
    (b"7z\xbc\xaf", "a 7z archive", f"Unpack it first. {ONE_FILE}"),
    (b"Rar!", "a RAR archive", f"Unpack it first. {ONE_FILE}"),
    (b"PAR1", "a Parquet file", "Save it as JSONL or CSV."),
    (b"ARROW1", "an Arrow file", "Save it as JSONL or CSV."),
    (b"SQLite format 3", "an SQLite database", "Export the table as CSV."),
    (b"\x80\x02", "a Python pickle", "Save the rows as JSONL or CSV; a pickle is never opened."),
    (b"\x80\x03", "a Python pickle", "Save the rows as JSONL or CSV; a pickle is never opened."),
    (b"\x80\x04", "a Python pickle", "Save the rows as JSONL or CSV; a pickle is never opened."),
    (b"\x80\x05", "a Python pickle", "Save the rows as JSONL or CSV; a pickle is never opened."),
)
UTF16 = ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


def sniff(path: Path, name: str, problems: Problems) -> str:
    """`jsonl`, `array` or `csv`. Raises Refused for anything else; UTF-16 with a mark is converted in place."""
    with path.open("rb") as file:
        head = file.read(SAMPLE_BYTES)
    if not head.removeprefix(codecs.BOM_UTF8).strip(b"\r\n"):
        raise problems.refuse("empty_file", "The file is empty.", "Upload a file with rows in it.")
    _refuse_other_kinds(head, name, problems)
    for mark, encoding in UTF16:
        if head.startswith(mark):
            _convert(path, encoding)
            problems.notice("converted_utf16", "The file was UTF-16 and was read as such.", "Nothing to do.")
            return sniff(path, name, problems)
    if _looks_utf16(head):
        message = "The file looks like UTF-16; save it as UTF-8."
        raise problems.refuse("not_utf8", message, "Open it in an editor and save it with the encoding UTF-8.", line=1)
    start = head.removeprefix(codecs.BOM_UTF8).lstrip()[:1]
    if start == b"{":
        return "jsonl"
    if start == b"[":
        return "array"
    return "jsonl" if name.lower().endswith((".jsonl", ".json", ".ndjson")) else "csv"


def _refuse_other_kinds(head: bytes, name: str, problems: Problems) -> None:
    suffix = Path(name).suffix.lower().lstrip(".") or "text"
    wanted = {"jsonl": "JSONL", "json": "JSONL", "ndjson": "JSONL", "tsv": "TSV"}.get(suffix, "CSV")
    kind, hint = _kind(head)
    if kind:
        raise problems.refuse("wrong_type", f"This is {kind}, not {wanted}.", hint)


def _kind(head: bytes) -> tuple[str, str]:
    if head.startswith(b"PK\x03\x04"):
        if b"xl/" in head or b"[Content_Types].xml" in head[:200]:
            return "an Excel workbook", "Save the sheet as CSV."
        return "a zip archive", f"Unpack it first. {ONE_FILE}"
    if head[257:262] == b"ustar":
        return "a tar archive", f"Unpack it first. {ONE_FILE}"
    if head.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html")):
        return "an HTML page", "Was a login page saved instead of the file? Download the file itself."
    return next(((kind, hint) for magic, kind, hint in KINDS if head.startswith(magic)), ("", ""))


def _looks_utf16(head: bytes) -> bool:
    """Every second byte zero: text of mostly Latin letters in UTF-16."""
    even, odd = head[0::2].count(0), head[1::2].count(0)
    return len(head) >= 8 and max(even, odd) > 0.4 * (len(head) / 2) and min(even, odd) < 0.1 * (len(head) / 2)


def _convert(path: Path, encoding: str) -> None:
    part = path.with_suffix(".utf8")
    with path.open(encoding=encoding, newline="") as source, part.open("w", encoding="utf-8", newline="") as target:
        while chunk := source.read(1024 * 1024):
            target.write(chunk.removeprefix("\ufeff"))
    part.replace(path)


def decode_line(line: bytes, number: int, problems: Problems) -> str | None:
    """The line as text; None after noting why it is not."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = line[error.start]
        guess = _guess(line)
        message = f"Line {number:,}, byte 0x{byte:02X} is not UTF-8"
        message += f"; the file looks like {guess}." if guess else "."
        problems.error(
            "not_utf8", message, "Save the file with the encoding UTF-8.", line=number, column=error.start + 1
        )
        return None


def _guess(line: bytes) -> str:
    """Windows-1252 where every high byte would be a Latin letter or a usual sign, else no guess."""
    high = {byte for byte in line if byte >= 0x80}
    letters = set(range(0xC0, 0x100)) - {0xD7, 0xF7} | {0x80, 0x85, 0x91, 0x92, 0x93, 0x94, 0x96, 0x97}
    alone = len([byte for byte in line if byte >= 0x80]) < 0.3 * max(1, len(line))
    return "Windows-1252" if high and high <= letters and alone else ""
