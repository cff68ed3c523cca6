"""Gets the one data file out of a .gz or .zip, within a budget of bytes; nothing is written under an archive's names.

Other archives are refused by sniffing.py. Entries of a zip are streamed into one scratch file, never extracted.
"""

from __future__ import annotations

import gzip
import stat
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from webapp.datasets.limits import MIB, Limits
from webapp.datasets.problems import Problems, Refused

GZIP, ZIP = b"\x1f\x8b", (b"PK\x03\x04", b"PK\x05\x06")
DATA_NAMES = (".jsonl", ".json", ".ndjson", ".csv", ".tsv", ".parquet", ".arrow", ".feather", ".txt", ".text")
ARCHIVE_NAMES = (".zip", ".gz", ".tar", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst")
PIECE_BYTES, HEAD_BYTES, LOCAL_HEADER_BYTES = MIB, 64 * 1024, 30
NOT_DATA = ("__MACOSX/", ".DS_Store", "Thumbs.db")
ENCRYPTED_FLAG = 1


@dataclass
class Unpacking:
    """One upload while it is looked into."""

    source: Path
    scratch: Path
    problems: Problems
    limits: Limits
    entry: str | None = None
    """The entry that was chosen out of several."""
    fix: str = "choose_entry"
    """What is on offer where there are several to choose from."""
    entries: list[str] | None = None
    """The entries to choose from, where there are several."""

    def run(self, name: str) -> tuple[Path, str]:
        """The file to read and its name; the upload itself where it is no archive. Raises Refused."""
        with self.source.open("rb") as file:
            head = file.read(HEAD_BYTES)
        if head.startswith(GZIP):
            return self._gunzip(), name[:-3] if name.lower().endswith(".gz") else name
        if head.startswith(ZIP) and not is_workbook(head):
            return self._unzip()
        return self.source, name

    def _refuse(self, code: str, message: str, hint: str) -> Refused:
        return self.problems.refuse(code, message, hint)

    def _gunzip(self) -> Path:
        try:
            with gzip.open(self.source) as packed:
                self._copy(packed)
        except EOFError as error:
            message = "The gzip file ends in the middle; was the upload or export cut short?"
            raise self._refuse("truncated", message, "Upload it again.") from error
        except (gzip.BadGzipFile, zlib.error) as error:
            message = "The gzip file is damaged: its content does not match its checksum or form."
            raise self._refuse("archive_damaged", message, "Pack and upload it again.") from error
        return self._unpacked()

    def _copy(self, packed: IO[bytes] | gzip.GzipFile) -> None:
        budget = self.limits.output_bytes_for(self.source.stat().st_size)
        size = 0
        with self.scratch.open("wb") as target:
            while piece := packed.read(PIECE_BYTES):
                size += len(piece)
                if size > budget:
                    raise self._too_large(budget)
                target.write(piece)

    def _too_large(self, budget: int) -> Refused:
        found = self.source.stat().st_size
        message = f"Unpacked, the file has more than {budget / MIB:,.0f} MiB, the limit for {found:,} packed bytes."
        return self._refuse("expands_too_far", message, "Upload it unpacked, or split it.")

    def _unpacked(self) -> Path:
        """The scratch file, unless it is an archive again."""
        with self.scratch.open("rb") as file:
            head = file.read(HEAD_BYTES)
        if head.startswith((GZIP, *ZIP)) and not is_workbook(head):
            message = "The archive holds another archive, which is never opened."
            raise self._refuse("nested_archive", message, "Upload the file inside.")
        return self.scratch

    # ---- Zip ---------------------------------------------------------------------------------------

    def _unzip(self) -> tuple[Path, str]:
        try:
            with zipfile.ZipFile(self.source) as archive:
                chosen = self._chosen(archive)
                with archive.open(chosen) as packed:
                    self._copy(packed)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, UnicodeError) as error:
            message = "The zip file is damaged, or packed in a way that cannot be read."
            raise self._refuse("archive_damaged", message, "Pack it again as an ordinary .zip.") from error
        return self._unpacked(), chosen.filename

    def _chosen(self, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
        listed = archive.infolist()
        if len(listed) > self.limits.archive_entries:
            message = f"The zip has {len(listed):,} entries; the limit is {self.limits.archive_entries:,}."
            raise self._refuse("too_many_entries", message, "Upload the data file itself.")
        self._check(listed)
        files = [each for each in listed if not each.is_dir() and not _is_litter(each.filename)]
        nested = next((each for each in files if each.filename.lower().endswith(ARCHIVE_NAMES)), None)
        if nested is not None:
            message = f"The zip holds another archive, `{nested.filename[:80]}`, which is never opened."
            raise self._refuse("nested_archive", message, "Upload the file inside.")
        data = [each for each in files if each.filename.lower().endswith(DATA_NAMES)] or files
        return self._only([each for each in data if self.entry in (None, each.filename)], data)

    def _only(self, fitting: list[zipfile.ZipInfo], data: list[zipfile.ZipInfo]) -> zipfile.ZipInfo:
        if not data:
            raise self._refuse("empty_file", "The zip holds no file.", "Upload a file with rows in it.")
        if not fitting:
            message = f"The zip holds no entry `{str(self.entry)[:80]}`."
            raise self._refuse("entry", message, "Choose one that it holds.")
        if len(data) > 1:
            self.entries = [each.filename for each in data]
        if len(fitting) > 1 and self.entries:
            named = ", ".join(f"`{each[:60]}`" for each in self.entries[:6])
            message = f"The zip holds {len(fitting):,} data files: {named}."
            raise self.problems.refuse("several_files", message, "Choose the one to read.", fixes=[self.fix])
        return fitting[0]

    def _check(self, listed: list[zipfile.ZipInfo]) -> None:
        """Every entry must be harmless, also those that are not read."""
        seen: set[str] = set()
        end = total = 0
        budget = self.limits.output_bytes_for(self.source.stat().st_size)
        for entry in sorted(listed, key=lambda each: each.header_offset):
            total += entry.file_size
            reason = _danger(entry, seen) or ("overlaps another entry" if entry.header_offset < end else "")
            if reason:
                message = f"The zip's entry `{entry.filename[:80]}` {reason}."
                raise self._refuse("unsafe_archive", message, "Pack plain files, without links or folders above.")
            if entry.flag_bits & ENCRYPTED_FLAG:
                message = f"The zip's entry `{entry.filename[:80]}` is encrypted."
                raise self._refuse("encrypted_file", message, "Pack it without a password.")
            if total > budget or entry.file_size > max(MIB, self.limits.archive_ratio * entry.compress_size):
                raise self._too_large(budget)
            end = entry.header_offset + LOCAL_HEADER_BYTES + entry.compress_size
            seen.add(entry.filename)


def _danger(entry: zipfile.ZipInfo, seen: set[str]) -> str:
    """Why an entry is unsafe, as the end of a sentence; nothing if it is not."""
    name, kind = entry.filename, stat.S_IFMT(entry.external_attr >> 16)
    if kind and kind not in (stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device"
    if name in seen:
        return "stands twice"
    if name.startswith("/") or "\\" in name or ":" in name or "\0" in name or ".." in PurePosixPath(name).parts:
        return "points outside the archive"
    return ""


def _is_litter(name: str) -> bool:
    return name.startswith(NOT_DATA) or name.endswith(NOT_DATA[1:])


def is_workbook(head: bytes) -> bool:
    return b"xl/" in head or b"[Content_Types].xml" in head[:200]
